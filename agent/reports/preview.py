"""The message that a destination would be sent for a draft; nothing is stored or sent."""

from __future__ import annotations

import io
from datetime import datetime

from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.session import database_now
from agent.database.tables import Draft, Study
from agent.foundation.document_roles import PAIR, DocumentRole
from agent.foundation.errors import NotFound
from agent.foundation.settings.tree import DestinationSettings
from agent.messages.fhir.check import problems_of as problems_of
from agent.messages.result import DocumentName
from agent.messages.result_status import ResultStatus, next_status
from agent.reports.messages import WRITERS, last_sent, message_uid, result_for
from agent.reports.publish import DEFAULT_VARIANT, Record
from agent.reports.result_of import result_of
from dicom_sr.document import encode


def preview(session: Session, study_instance_uid: str, destination: DestinationSettings) -> bytes:
    """Return the main message of a study's newest draft or verdict, in its present status.

    If the destination has already received it, this is a message with the same status again.

    Raises:
        NotFound: the study is not here, or has no draft that a destination may receive.
    """
    draft = session.scalars(
        select(Draft)
        .join(Study, Study.id == Draft.study_id)
        .where(Study.study_instance_uid == study_instance_uid)
        .order_by(Draft.id.desc())
        .limit(1)
    ).first()
    if draft is None:
        raise NotFound("there is no draft of a study with this UID")
    sent = last_sent(session, draft, destination.name)
    if draft.withdrawal is not None:
        status: ResultStatus | None = ResultStatus.WITHDRAWN
    elif sent is not None and sent.draft_id == draft.id:
        status = sent.status
    else:
        status = next_status(draft.outcome, sent)
    if status is None:
        raise NotFound("destinations receive no message about the outcome of this study")
    _, result = result_for(session, draft, destination, status, now=database_now(session))
    return WRITERS[destination.kind](destination, result)[0][1]


def preview_of_record(record: Record, destination: DestinationSettings, created: datetime) -> bytes:
    """Return the main message of a draft that is not in a database, as its first revision.

    created: when it was drafted, aware.
    """
    pair = record.documents[DEFAULT_VARIANT]
    findings = dcmread(io.BytesIO(encode(pair.findings)))
    result = result_of(
        findings,
        record.content,
        uid=message_uid(str(findings.SOPInstanceUID), destination.name, DocumentRole.MESSAGE),
        status=ResultStatus.UNVERIFIED,
        report=record.text,
        revision=1,
        priority=record.urgency,
        model_name=record.model_name,
        demonstration=record.demonstration,
        documents=[
            DocumentName(
                role=role.value,
                sop_class_uid=str(document.SOPClassUID),
                sop_instance_uid=str(document.SOPInstanceUID),
            )
            for role, document in zip(PAIR, (pair.findings, pair.report), strict=True)
        ],
        created=created,
    )
    return WRITERS[destination.kind](destination, result)[0][1]

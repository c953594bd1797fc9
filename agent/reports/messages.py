"""Messages about a draft for the destinations that take messages, stored with it like documents.

Each such destination gets its own messages, made with its settings; a document's `variant` names it. The last
message about the study determines the status (`agent.messages.result_status`).
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydicom import Dataset, dcmread
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from agent.database.states import UNSENT, DeliveryState
from agent.database.tables import Delivery, Document, Draft, Job
from agent.foundation.document_roles import PAIR, DocumentRole
from agent.foundation.errors import DeliveryRefused, NotFound
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.messages.fhir.bundle import write_bundle
from agent.messages.hl7.result_message import write_result
from agent.messages.result import DocumentName, Result
from agent.messages.result_status import ResultStatus, SentResult, next_status
from agent.queue import deliveries
from agent.queue.gate import refused_destination
from agent.queue.withdrawal import WITHDRAWN, Withdrawal, reason_of, was_merged
from agent.reports.result_of import result_of

# The messages of one result: each with its role, in the order in which they are to arrive.
Writer = Callable[[DestinationSettings, Result], Sequence[tuple[DocumentRole, bytes]]]
WRITERS: Mapping[str, Writer] = {"hl7": write_result, "fhir": write_bundle}
_ON_ITS_WAY = (*UNSENT, DeliveryState.STORED, DeliveryState.COMMITTED, DeliveryState.UNCOMMITTED)
_RESULTS = (DocumentRole.MESSAGE, DocumentRole.RETRACTION)
# The namespace of the UIDs of messages.
_NAMESPACE = uuid.UUID("6a1b0a3e-30f7-5bb0-9d4e-0c6f9d3a7d52")


def message_uid(sop_instance_uid: str, destination: str, role: DocumentRole) -> str:
    """Return the UID of a message, derived from that of a document of the same draft."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{sop_instance_uid}|{destination}|{role}').int}"


def variant_of(destination: DestinationSettings) -> str:
    """Return the variant of a destination's messages; names may be longer than the column."""
    return f"{destination.kind}-{hashlib.sha256(destination.name.encode()).hexdigest()[:12]}"


def write_messages(
    session: Session,
    draft: Draft,
    job: Job,
    settings: Settings,
    *,
    now: datetime,
    writers: Mapping[str, Writer] = WRITERS,
) -> None:
    """Write the messages of a new draft or verdict, and before them those that withdraw earlier ones."""
    destinations = [one for one in settings.destinations if one.takes_messages]
    for destination in destinations:
        _retract_due(session, draft.study_id, job, destination, settings, now=now, writers=writers)
        status = next_status(draft.outcome, last_sent(session, draft, destination.name))
        if status is not None:
            _write(session, draft, job, destination, settings, status, now=now, writers=writers)


def _retract_due(
    session: Session,
    study_id: int,
    job: Job,
    destination: DestinationSettings,
    settings: Settings,
    *,
    now: datetime,
    writers: Mapping[str, Writer],
) -> None:
    """Retract withdrawn drafts before anything new is sent: a retraction must not arrive after it."""
    due = select(Draft).where(Draft.study_id == study_id, Draft.withdrawal == Withdrawal.DUE.value)
    for withdrawn in session.scalars(due.order_by(Draft.id)).all():
        retract(session, withdrawn, job, destination, settings, now=now, writers=writers)


def retract(
    session: Session,
    draft: Draft,
    job: Job,
    destination: DestinationSettings,
    settings: Settings,
    *,
    now: datetime,
    writers: Mapping[str, Writer] = WRITERS,
) -> None:
    """Withdraw the result of a withdrawn draft if it is the last one sent to the destination."""
    if not may_retract(session, draft, destination):
        return
    _write(session, draft, job, destination, settings, ResultStatus.WITHDRAWN, now=now, writers=writers)


def may_retract(session: Session, draft: Draft, destination: DestinationSettings) -> bool:
    """Whether the last message to a destination was of a withdrawn draft.

    After a merge there is nothing to take back: the next result replaces it under the same order number.
    """
    if was_merged(draft):
        return False
    sent = last_sent(session, draft, destination.name)
    return sent is not None and sent.draft_id == draft.id and sent.status is not ResultStatus.WITHDRAWN


def _write(
    session: Session,
    draft: Draft,
    job: Job,
    destination: DestinationSettings,
    settings: Settings,
    status: ResultStatus,
    *,
    now: datetime,
    writers: Mapping[str, Writer],
) -> None:
    withdrawn = draft.withdrawal is not None
    main = DocumentRole.RETRACTION if withdrawn else DocumentRole.MESSAGE
    findings, result = result_for(session, draft, destination, status, now=now)
    for role, content in writers[destination.kind](destination, result):
        own = main if role is DocumentRole.MESSAGE else role
        uid = message_uid(findings.sop_instance_uid, destination.name, own)
        row = _store(session, draft, destination, own, status, uid, content)
        deliveries.add(
            session,
            row,
            job,
            destination.name,
            now=_not_before(session, draft, destination, now) if withdrawn else now,
            give_up_after_s=settings.delivery.give_up_after_s,
            priority=min(job.priority, draft.urgency),
            refused=refused_destination(
                demonstration=draft.demonstration, destination=destination, settings=settings
            ),
        )
    session.flush()


def result_for(
    session: Session, draft: Draft, destination: DestinationSettings, status: ResultStatus, *, now: datetime
) -> tuple[Document, Result]:
    """Return the result of a draft for a destination, and the draft's document A, which names the patient.

    Raises:
        NotFound: the draft has no documents, because it is in shadow.
    """
    withdrawn = draft.withdrawal is not None
    main = DocumentRole.RETRACTION if withdrawn else DocumentRole.MESSAGE
    pair = session.scalars(
        select(Document).where(Document.draft_id == draft.id, Document.role.in_(PAIR)).order_by(Document.id)
    ).all()
    findings = next((row for row in pair if row.role == DocumentRole.FINDINGS), None)
    if findings is None:
        raise NotFound("the draft has no documents: it is in shadow")
    result = result_of(
        _header(findings),
        draft.content,
        uid=message_uid(findings.sop_instance_uid, destination.name, main),
        status=status,
        report="" if status is ResultStatus.WITHDRAWN else draft.text,
        revision=draft.revision,
        priority=draft.urgency,
        model_name=draft.model_name,
        demonstration=draft.demonstration,
        documents=_names(pair, destination),
        created=draft.created_at if not withdrawn else now,
        reason=reason_of(draft) if withdrawn else "",
    )
    return findings, replace(
        result,
        earlier=_earlier(session, draft.study_id, destination),
        pdf=b"" if status is ResultStatus.WITHDRAWN else _pdf(session, draft, destination),
    )


def _store(
    session: Session,
    draft: Draft,
    destination: DestinationSettings,
    role: DocumentRole,
    status: ResultStatus,
    uid: str,
    content: bytes,
) -> Document:
    """Store the bytes of one message of a draft."""
    row = Document(
        draft_id=draft.id,
        role=role.value,
        variant=variant_of(destination),
        status=status.value,
        sop_class_uid="",
        sop_instance_uid=uid,
        series_instance_uid="",
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
    )
    session.add(row)
    session.flush()
    return row


def _earlier(session: Session, study_id: int, destination: DestinationSettings) -> bytes:
    """Return the last message about a study for a destination, whether it has arrived yet or not."""
    newest = (
        select(Document.content)
        .join(Draft, Draft.id == Document.draft_id)
        .where(
            Draft.study_id == study_id,
            Document.variant == variant_of(destination),
            Document.role.in_(_RESULTS),
        )
        .order_by(Document.id.desc())
        .limit(1)
    )
    return session.scalar(newest) or b""


def _pdf(session: Session, draft: Draft, destination: DestinationSettings) -> bytes:
    """Return the PDF of a draft if the destination wants it: the same one that archives get."""
    if destination.hl7 is None or not destination.hl7.pdf:
        return b""
    content = session.scalar(
        select(Document.content)
        .where(
            Document.draft_id == draft.id,
            Document.role == DocumentRole.PDF,
            Document.variant == destination.findings_sop_class,
        )
        .limit(1)
    )
    if content is None:
        return b""
    document = dcmread(io.BytesIO(content))
    return bytes(document.EncapsulatedDocument[: document.EncapsulatedDocumentLength])


def _header(findings: Document) -> Dataset:
    return dcmread(io.BytesIO(findings.content))


def _names(pair: Sequence[Document], destination: DestinationSettings) -> list[DocumentName]:
    return [
        DocumentName(role=row.role, sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid)
        for row in pair
        if row.variant == destination.findings_sop_class
    ]


def last_sent(session: Session, draft: Draft, destination: str) -> SentResult | None:
    """Return the last result of the draft's study sent to a destination, without what it never received.

    A message that a later one waits for counts: it will have arrived before the later one.
    """
    messages = (
        select(Document.status, Document.draft_id)
        .join(Draft, Draft.id == Document.draft_id)
        .join(Delivery, Delivery.document_id == Document.id)
        .where(
            Draft.study_id == draft.study_id,
            Document.role.in_(_RESULTS),
            Delivery.destination == destination,
            or_(
                Delivery.state.in_([state.value for state in _ON_ITS_WAY]),
                (Delivery.attempts > 0) & (func.coalesce(Delivery.code, "") != DeliveryRefused.code),
            ),
        )
    )
    last = session.execute(messages.order_by(Document.id.desc()).limit(1)).first()
    if last is None:
        return None
    before = session.scalar(
        select(func.max(Draft.id)).where(
            Draft.study_id == draft.study_id, Draft.id < draft.id, Draft.withdrawal.is_(None)
        )
    )
    verified = messages.where(Document.status.in_((ResultStatus.FINAL.value, ResultStatus.CORRECTED.value)))
    return SentResult(
        status=ResultStatus(last.status),
        draft_id=last.draft_id,
        on_basis=last.draft_id == before,
        was_final=bool(session.scalar(select(verified.exists()))),
    )


def _not_before(session: Session, draft: Draft, destination: DestinationSettings, now: datetime) -> datetime:
    """Return when a draft may be withdrawn: not while another process may still be sending it."""
    stopped = session.scalar(
        select(func.max(Delivery.updated_at))
        .join(Document, Document.id == Delivery.document_id)
        .where(
            Document.draft_id == draft.id,
            Delivery.destination == destination.name,
            Delivery.state == DeliveryState.CANCELED.value,
            Delivery.code == WITHDRAWN,
            Delivery.attempts > 0,
        )
    )
    return now if stopped is None else max(now, stopped + timedelta(seconds=destination.timeout_s))

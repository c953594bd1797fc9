"""Withdraws documents that name a patient who is no longer the study's, or images that were rejected.

The gate marks such drafts (`agent.queue.withdrawal`). Here each gets a rejected revision of its documents,
under the patient that they name and for the destinations that may have them, and a rejection note if the
destination wants one. They are documents of the old draft with their own job; the corrected revision's draft
is independent of them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset, dcmread
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import DeliveryState, JobState
from agent.database.tables import Delivery, Document, Draft, Instance, Job, Study
from agent.foundation.document_roles import PAIR, VIEWS, DocumentRole
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.queue import deliveries
from agent.queue.gate import refused_destination
from agent.queue.jobs import idempotency_key
from agent.queue.states import move
from agent.queue.withdrawal import Withdrawal, reason_of
from agent.reports import messages, publish, views, worklist_row
from agent.reports.algorithms import algorithm_of_draft
from dicom_sr.document import (
    Algorithm,
    DocumentPairReference,
    DocumentReference,
    SourceStudy,
    build_rejection,
)
from dicom_sr.errors import StructuredReportError
from dicom_sr.rejection_note import build_rejection_note
from dicom_sr.values import FindingsSopClass

ACTOR = "housekeeping"
KIND = "withdrawal"
BATCH = 20
# The document that withdraws each of a draft's documents, if the destination was sent it.
_TAKES_BACK = {
    DocumentRole.FINDINGS: DocumentRole.WITHDRAWN_FINDINGS,
    DocumentRole.REPORT: DocumentRole.WITHDRAWN_REPORT,
    **views.TAKES_BACK,
}
VARIANTS: tuple[FindingsSopClass, ...] = ("comprehensive3d", "comprehensive", "enhanced")
_HELD = (DeliveryState.STORED.value, DeliveryState.COMMITTED.value, DeliveryState.UNCOMMITTED.value)
# The attributes that our documents copy from their source images.
_INHERITED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "TimezoneOffsetFromUTC",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What was sent for a draft: its pairs by variant, the destinations that may have them, the images."""

    pairs: Mapping[FindingsSopClass, DocumentPairReference]
    destinations: frozenset[str]
    headers: Sequence[Dataset]
    algorithm: Algorithm
    revision: int
    reason: str


def withdraw_due(database: Database, settings: Settings) -> int:
    """Write the withdrawals that are due; return the number of drafts handled.

    Raises:
        DatabaseUnavailable: the others remain due.
    """
    with database.reading() as session:
        due = session.scalars(
            select(Draft.id).where(Draft.withdrawal == Withdrawal.DUE.value).order_by(Draft.id).limit(BATCH)
        ).all()
        created = database_now(session).astimezone()
    for draft_id in due:
        _withdraw(database, settings, draft_id, created)
    return len(due)


def _withdraw(database: Database, settings: Settings, draft_id: int, created: datetime) -> None:
    with database.reading() as session:
        sent = _sent(session, session.get_one(Draft, draft_id))
    documents: dict[FindingsSopClass, list[tuple[DocumentRole, Dataset]]] = {}
    try:
        if sent.destinations:
            documents = {variant: _documents(sent, variant, created, settings) for variant in sent.pairs}
    except StructuredReportError as error:
        # Our own document's header was accepted before; if it is unusable now, that is a defect to
        # investigate.
        get_logger(ACTOR).error("withdrawal_impossible", code=error.code, draft_id=draft_id)
    with database.transaction() as session:
        now = database_now(session)
        draft = session.get_one(Draft, draft_id, with_for_update=True)
        if draft.withdrawal != Withdrawal.DUE.value:
            return
        draft.withdrawal = Withdrawal.DONE.value
        worklist_row.withdraw(session, draft)
        if documents:
            _write(session, settings, draft, documents, sent, now)


def _sent(session: Session, draft: Draft) -> _Sent:
    """Return what may have been sent for a draft; a document whose transfer was begun counts as sent."""
    study_uid = session.scalars(select(Study.study_instance_uid).where(Study.id == draft.study_id)).one()
    rows = session.scalars(
        select(Document).where(
            Document.draft_id == draft.id, Document.role.in_((*PAIR, *VIEWS, DocumentRole.MESSAGE))
        )
    ).all()
    begun = session.scalars(
        select(Delivery.destination).where(
            Delivery.document_id.in_([row.id for row in rows]),
            or_(Delivery.state.in_(_HELD), Delivery.attempts > 0),
        )
    ).all()
    named: dict[str, dict[str, DocumentReference]] = {}
    for row in (row for row in rows if row.role in PAIR):
        named.setdefault(row.variant, {})[row.role] = DocumentReference(
            study_instance_uid=study_uid,
            series_instance_uid=row.series_instance_uid,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
        )
    return _Sent(
        pairs={
            variant: DocumentPairReference(findings=pair["findings"], report=pair["report"])
            for variant in VARIANTS
            if (pair := named.get(variant)) is not None
        },
        destinations=frozenset(begun),
        headers=_headers(session, draft, rows),
        algorithm=algorithm_of_draft(draft),
        revision=draft.revision,
        reason=reason_of(draft),
    )


def _headers(session: Session, draft: Draft, rows: Sequence[Document]) -> list[Dataset]:
    """Return headers of the images as the draft's own document names them; their files may be gone."""
    findings = next((row for row in rows if row.role == DocumentRole.FINDINGS), None)
    if findings is None:
        return []
    document = dcmread(io.BytesIO(findings.content))
    referenced = [
        (str(series.SeriesInstanceUID), instance)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
    known = session.execute(
        select(Instance.sop_instance_uid, Instance.modality, Instance.view_position).where(
            Instance.study_id == draft.study_id
        )
    ).all()
    described = {row.sop_instance_uid: row for row in known}
    headers = []
    for series_uid, instance in referenced:
        header = Dataset()
        for keyword in _INHERITED:
            if keyword in document:
                header[keyword] = document[keyword]
        header.RequestAttributesSequence = document.ReferencedRequestSequence
        header.SeriesInstanceUID = series_uid
        header.SOPClassUID = instance.ReferencedSOPClassUID
        header.SOPInstanceUID = instance.ReferencedSOPInstanceUID
        row = described.get(str(instance.ReferencedSOPInstanceUID))
        if row is not None:
            header.Modality, header.ViewPosition = row.modality[:16], row.view_position[:16]
        headers.append(header)
    return headers


def _documents(
    sent: _Sent, variant: FindingsSopClass, created: datetime, settings: Settings
) -> list[tuple[DocumentRole, Dataset]]:
    """Build the rejected revision of one variant, and the note that names both revisions' old documents."""
    study = SourceStudy(images=sent.headers)
    pair = build_rejection(
        study,
        sent.reason,
        "withdrawn",
        sent.algorithm,
        revision=sent.revision,
        created=created,
        predecessors=sent.pairs[variant],
        findings_sop_class=variant,
    )
    old = sent.pairs[variant]
    note = build_rejection_note(
        study, (old.findings, old.report), "patient_safety", sent.algorithm, created=created
    )
    shown = views.views_of(
        pair.report,
        views.wanted_views(settings).get(variant, []),
        "withdrawn",
        settings.delivery.font,
    )
    return [
        (DocumentRole.WITHDRAWN_FINDINGS, pair.findings),
        (DocumentRole.WITHDRAWN_REPORT, pair.report),
        *((views.TAKES_BACK[role], view) for role, view in shown.items()),
        (DocumentRole.REJECTION_NOTE, note),
    ]


def _write(
    session: Session,
    settings: Settings,
    draft: Draft,
    documents: Mapping[FindingsSopClass, Sequence[tuple[DocumentRole, Dataset]]],
    sent: _Sent,
    now: datetime,
) -> None:
    told = _to_tell(session, settings, draft, sent)
    if not told:
        return
    study = session.get_one(Study, draft.study_id)
    job = Job(
        kind=KIND,
        idempotency_key=idempotency_key(KIND, study.study_instance_uid, draft.revision, str(draft.id)),
        study_id=study.id,
        revision=draft.revision,
        priority=0,
        run_after=now,
        created_at=now,
        updated_at=now,
    )
    move(session, job, JobState.DRAFTED, now=now, code="withdrawn", reason=sent.reason, actor=ACTOR)
    rows = {
        (variant, role): publish.store_document(session, draft, variant, role, dataset)
        for variant, built in documents.items()
        for role, dataset in built
    }
    for destination in told:
        if destination.takes_messages:
            messages.retract(session, draft, job, destination, settings, now=now)
            continue
        wanted = [_TAKES_BACK[role] for role in (*PAIR, *VIEWS) if role.value in destination.documents]
        roles = [role for role in wanted if (destination.findings_sop_class, role) in rows]
        for role in (*roles, *((DocumentRole.REJECTION_NOTE,) if destination.rejection_notes else ())):
            deliveries.add(
                session,
                rows[destination.findings_sop_class, role],
                job,
                destination.name,
                now=now,
                give_up_after_s=settings.delivery.give_up_after_s,
                priority=0,
                refused=refused_destination(
                    demonstration=draft.demonstration, destination=destination, settings=settings
                ),
            )
    deliveries.settle(session, job, now, ACTOR)


def _to_tell(
    session: Session, settings: Settings, draft: Draft, sent: _Sent
) -> Sequence[DestinationSettings]:
    """Return the destinations that have, or may have, the withdrawn documents."""
    return [
        one
        for one in settings.destinations
        if one.name in sent.destinations
        and (not one.takes_messages or messages.may_retract(session, draft, one))
    ]

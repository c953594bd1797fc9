"""Writes a draft, or the notice that there is none, as rows: draft, documents, deliveries, in one
transaction.

Documents are built before the transaction, and their bytes are stored: every attempt, and every destination
of one variant, gets the same bytes under the same UID.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.states import SHADOW, Lane
from agent.database.tables import Document, Draft, Job, Study, Verdict
from agent.foundation.document_roles import PAIR, DocumentRole
from agent.foundation.failpoints import failpoint
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.queue import deliveries
from agent.queue.gate import refused_destination
from agent.queue.withdrawal import withdraw_renumbered
from agent.reports import worklist_row as listing
from agent.reports.messages import write_messages
from dicom_sr.document import (
    Algorithm,
    DocumentPair,
    DocumentPairReference,
    DocumentReference,
    encode,
)
from dicom_sr.sheet import Outcome
from dicom_sr.values import FindingsSopClass

DEFAULT_VARIANT: FindingsSopClass = "comprehensive3d"
ACTOR = "worker"
# The model digest in the draft row of a notice, which no model wrote.
NO_MODEL = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record of one job: the values of the draft's row, and its documents by variant."""

    model_digest: str
    model_name: str
    demonstration: bool
    outcome: Outcome
    text: str
    content: Mapping[str, Any]
    urgency: int
    seconds: float
    documents: Mapping[str, DocumentPair]
    # By variant, for the destinations that want one: the rejection note for an earlier pair.
    notes: Mapping[str, Dataset] = field(default_factory=dict)
    # By variant: the report as PDF or picture (`agent.reports.views`).
    views: Mapping[str, Mapping[DocumentRole, Dataset]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The basis of a study's next documents: predecessors by variant, and in words the report that is
    still valid.
    """

    pairs: Mapping[FindingsSopClass, DocumentPairReference | None]
    standing: str


def variants(destinations: Sequence[DestinationSettings]) -> tuple[FindingsSopClass, ...]:
    """Return the SOP class variants that the destinations need; one if there is no destination."""
    return tuple(dict.fromkeys(one.findings_sop_class for one in destinations)) or (DEFAULT_VARIANT,)


def write(
    session: Session,
    job: Job,
    record: Record,
    algorithm: Algorithm,
    settings: Settings,
    *,
    now: datetime,
) -> Draft:
    """Write a record with its dependent rows; the caller's transaction also moves the job.

    In shadow mode this is only the draft's row: no line in the list, no document, and nothing to deliver.
    """
    kept = job.lane == Lane.BACKFILL and not settings.backfill.deliver
    shadow = kept or is_shadow(session, job.study_id, algorithm, settings)
    draft = Draft(
        study_id=job.study_id,
        job_id=job.id,
        revision=job.revision,
        model_digest=record.model_digest,
        model_name=record.model_name,
        demonstration=record.demonstration,
        shadow=shadow,
        outcome=record.outcome,
        text=record.text,
        content=dict(record.content),
        urgency=record.urgency,
        seconds=record.seconds,
        waited_s=_waited_s(session, job, record, now),
        created_at=now,
    )
    session.add(draft)
    session.flush()
    if shadow:
        why = "an old study: its draft is kept, and" if kept else "shadow mode: the draft is"
        job.code, job.reason = SHADOW, f"{why} compared with the signed report only"
    else:
        listing.enter(session, draft)
        _put_out(session, draft, job, record, algorithm, settings, now=now)
        session.flush()
        write_messages(session, draft, job, settings, now=now)
        if draft.outcome == "drafted":
            withdraw_renumbered(session, draft, now=now, actor=ACTOR)
    failpoint("outbox.before-commit")
    return draft


def _put_out(
    session: Session,
    draft: Draft,
    job: Job,
    record: Record,
    algorithm: Algorithm,
    settings: Settings,
    *,
    now: datetime,
) -> None:
    """Write a record's documents, and for each destination the deliveries of those that it takes."""
    documents = {
        variant: _documents(session, draft, variant, pair) for variant, pair in record.documents.items()
    }
    for variant, views in record.views.items():
        documents[variant].extend(
            store_document(session, draft, variant, role, view) for role, view in views.items()
        )
    notes = {
        variant: store_document(session, draft, variant, DocumentRole.REJECTION_NOTE, note)
        for variant, note in record.notes.items()
    }
    for destination in settings.destinations:
        if destination.takes_messages:
            continue
        rows = [one for one in documents[destination.findings_sop_class] if one.role in destination.documents]
        if destination.rejection_notes and destination.findings_sop_class in notes:
            rows.append(notes[destination.findings_sop_class])
        for document in rows:
            deliveries.add(
                session,
                document,
                job,
                destination.name,
                now=now,
                give_up_after_s=settings.delivery.give_up_after_s,
                priority=min(job.priority, record.urgency),
                refused=refused_destination(
                    demonstration=algorithm.demonstration, destination=destination, settings=settings
                ),
            )


def is_shadow(session: Session, study_id: int, algorithm: Algorithm, settings: Settings) -> bool:
    """Whether a study's documents are not delivered: its sender, its site or the model is in shadow mode."""
    sender = session.scalar(select(Study.calling_ae_title).where(Study.id == study_id)) or ""
    return settings.in_shadow(sender) or settings.model_in_shadow(algorithm.name, algorithm.weights_sha256)


def _waited_s(session: Session, job: Job, record: Record, now: datetime) -> float | None:
    """Seconds since the study's last image; images that arrived later do not count for this revision."""
    arrived, revision = session.execute(
        select(Study.last_received_at, Study.revision).where(Study.id == job.study_id)
    ).one()
    if record.outcome != "drafted" or revision != job.revision:
        return None
    return max(0.0, (now - arrived).total_seconds())


def _documents(session: Session, draft: Draft, variant: str, pair: DocumentPair) -> list[Document]:
    """Write a pair; A comes first, so that B's evidence is there when B arrives."""
    return [
        store_document(session, draft, variant, role, dataset)
        for role, dataset in zip(PAIR, (pair.findings, pair.report), strict=True)
    ]


def store_document(
    session: Session, draft: Draft, variant: str, role: DocumentRole, dataset: Dataset
) -> Document:
    """Store the bytes of one document of a draft."""
    content = encode(dataset)
    row = Document(
        draft_id=draft.id,
        role=role.value,
        variant=variant,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
    )
    session.add(row)
    session.flush()
    return row


def before_draft(
    session: Session, study_id: int, study_instance_uid: str, destinations: Sequence[DestinationSettings]
) -> Before:
    """Return the basis of a study's next documents if no person has reviewed them.

    A report that a radiologist verified is not replaced by software: the next draft names it in words, and
    has no predecessor. Only a radiologist's next verdict replaces it.
    """
    standing = _standing(session, study_id)
    return Before(
        pairs={
            variant: None if standing else predecessors(session, study_id, study_instance_uid, variant)
            for variant in variants(destinations)
        },
        standing=standing,
    )


def _standing(session: Session, study_id: int) -> str:
    """Describe the verified report of a study that is still valid; empty if there is none."""
    found = session.execute(
        select(Verdict.observer_name, Verdict.at, Document.sop_instance_uid)
        .join(Draft, Draft.id == Verdict.result_id)
        .join(Document, Document.draft_id == Draft.id)
        .where(
            Draft.study_id == study_id,
            Draft.outcome == "verified",
            Draft.withdrawal.is_(None),
            Document.role == DocumentRole.REPORT,
        )
        .order_by(Draft.id.desc(), Document.id)
        .limit(1)
    ).first()
    if found is None:
        return ""
    name = " ".join(part for part in found.observer_name.split("=")[0].split("^") if part)
    return (
        f"Images came after {name} had verified the report of this study on {found.at:%Y-%m-%d}. That report "
        f"stands until a radiologist verifies a newer one (SOP Instance UID {found.sop_instance_uid})."
    )


def predecessors(
    session: Session, study_id: int, study_instance_uid: str, variant: str, *, outcome: str | None = None
) -> DocumentPairReference | None:
    """Return the latest documents of a study in one variant, of drafts with this outcome or with any."""
    wanted = [] if outcome is None else [Draft.outcome == outcome]
    latest = session.scalar(
        select(Document.draft_id)
        .join(Draft, Draft.id == Document.draft_id)
        .where(
            Draft.study_id == study_id,
            Draft.withdrawal.is_(None),
            Document.role.in_(PAIR),
            Document.variant == variant,
            *wanted,
        )
        .order_by(Draft.id.desc())
        .limit(1)
    )
    if latest is None:
        return None
    rows = session.scalars(
        select(Document).where(
            Document.draft_id == latest, Document.variant == variant, Document.role.in_(PAIR)
        )
    ).all()
    named = {
        row.role: DocumentReference(
            study_instance_uid=study_instance_uid,
            series_instance_uid=row.series_instance_uid,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
        )
        for row in rows
    }
    return DocumentPairReference(findings=named["findings"], report=named["report"])

"""Withdrawal of documents that name a patient who is no longer the study's, or images that were rejected.

Marks the drafts and cancels unsent documents in the transaction that records the correction.
`agent.reports.withdraw` writes the documents that inform the archive.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.identity.current import current
from agent.database.identity.patient import Patient, contradicts, patient_of_dataset
from agent.database.states import UNSENT, DeliveryState, JobState
from agent.database.tables import Delivery, Document, Draft, Job, Study
from agent.foundation.document_roles import PAIR, TAKING_BACK
from agent.foundation.errors import PatientConflict
from agent.queue.states import check_delivery_step, move
from dicom_sr import tree

WITHDRAWN = "withdrawn"
# Why a draft is withdrawn: the code in its row's content, and the words in every document and message.
PATIENT_CORRECTED, PATIENT_MERGED, IMAGES_REJECTED = "patient-corrected", "patient-merged", "images-rejected"
_WORDS = {
    PATIENT_CORRECTED: "the patient of the images was corrected after this report had been written",
    PATIENT_MERGED: "the patient was merged, and a newer report names the present identifier",
    IMAGES_REJECTED: "images of this report were rejected after it had been written",
}
_WHY = "withdrawn_for"
# Drafts whose documents state findings of a patient.
STATING = ("drafted", "verified")


class Withdrawal(StrEnum):
    """The progress of a draft's withdrawal; a valid draft has none."""

    DUE = "due"
    DONE = "done"


def may_go_out() -> ColumnElement[bool]:
    """Return the condition on draft, document and study under which a document may be sent.

    A draft waits while the study's patient is in doubt, and is never sent once it is withdrawn; documents
    without findings do not wait.
    """
    return or_(
        Draft.outcome.not_in(STATING),
        Document.role.in_(TAKING_BACK),
        and_(
            func.coalesce(Study.conflict, "") != PatientConflict.code,
            Draft.withdrawal.is_(None),
        ),
    )


def reason_of(draft: Draft) -> str:
    """Return in words why a draft was withdrawn."""
    return _WORDS[draft.content.get(_WHY, PATIENT_CORRECTED)]


def was_merged(draft: Draft) -> bool:
    """Whether a draft was withdrawn for a merge, in which its successor is the same patient's."""
    return draft.content.get(_WHY) == PATIENT_MERGED


def withdraw_renumbered(session: Session, draft: Draft, *, now: datetime, actor: str) -> int:
    """Withdraw the earlier drafts that name the patient of this new one by an identifier before a merge.

    Return how many. A verified report stays as it was signed, and so do the drafts that it has replaced.
    """
    study = session.get_one(Study, draft.study_id)
    others = [one for one in _standing_drafts(session, study) if one.id != draft.id]
    # Nearly every study has none: nothing is read then.
    document = _document_of(session, draft) if others else None
    if document is None:
        return 0
    present, withdrawn = _identifier_in(document), 0
    for earlier in others:
        if earlier.outcome == "verified":
            break
        named = _document_of(session, earlier)
        if named is not None and contradicts(_identifier_in(named), present):
            _withdraw(session, earlier, now=now, actor=actor, why=PATIENT_MERGED)
            withdrawn += 1
    return withdrawn


def withdraw_rejected(
    session: Session, study: Study, rejected: frozenset[str], *, now: datetime, actor: str
) -> int:
    """Withdraw the study's drafts that name one of these images, and verified reports that name no other.

    Return how many. What a radiologist has verified stands as long as one of its images does, and the drafts
    that it has replaced are left alone.
    """
    withdrawn = 0
    for draft in _standing_drafts(session, study) if rejected else ():
        document = _document_of(session, draft)
        named = frozenset() if document is None else _images_in(document)
        if draft.outcome == "verified" and not named <= rejected:
            break
        if named & rejected:
            _withdraw(session, draft, now=now, actor=actor, why=IMAGES_REJECTED)
            withdrawn += 1
    return withdrawn


def withdraw_others(
    session: Session,
    study: Study,
    patient: Patient | None,
    *,
    now: datetime,
    actor: str,
    why: str = PATIENT_CORRECTED,
) -> int:
    """Withdraw the study's drafts whose documents name another patient, or all if `patient` is None.

    Return how many.
    """
    withdrawn = 0
    for draft in _standing_drafts(session, study):
        document = _document_of(session, draft)
        named = None if document is None else patient_of_dataset(document)
        # A draft under an earlier identifier of the same patient remains valid.
        if named is None or (patient is not None and not contradicts(patient, current(session, named))):
            continue
        _withdraw(session, draft, now=now, actor=actor, why=why)
        withdrawn += 1
    return withdrawn


def _standing_drafts(session: Session, study: Study) -> Sequence[Draft]:
    """Return the drafts and reports of a study that were not withdrawn, the newest first."""
    return session.scalars(
        select(Draft)
        .where(Draft.study_id == study.id, Draft.outcome.in_(STATING), Draft.withdrawal.is_(None))
        .order_by(Draft.id.desc())
    ).all()


def is_withdrawn(session: Session, job_id: int) -> bool:
    """Whether a job's draft was withdrawn: its documents must not be sent, or sent again."""
    return bool(session.scalar(select(exists().where(Draft.job_id == job_id, Draft.withdrawal.is_not(None)))))


def _document_of(session: Session, draft: Draft) -> Dataset | None:
    """Return one of a draft's Structured Reports; None where it has none, or a damaged one."""
    # Messages of the same draft are not DICOM; they name the patient of its Structured Reports.
    content = session.scalar(
        select(Document.content)
        .where(Document.draft_id == draft.id, Document.role.in_(PAIR))
        .order_by(Document.id)
        .limit(1)
    )
    if content is None:
        return None
    try:
        return dcmread(io.BytesIO(content))
    except InvalidDicomError:
        # A damaged row identifies no patient; it must not block the completion of other studies.
        return None


def _identifier_in(document: Dataset) -> Patient:
    patient = patient_of_dataset(document)
    return Patient(patient_id=patient.patient_id, issuer_of_patient_id=patient.issuer_of_patient_id)


def _images_in(document: Dataset) -> frozenset[str]:
    """Return the SOP Instance UIDs of the images that document A names as its evidence."""
    return frozenset(
        tree.words(instance, "ReferencedSOPInstanceUID")
        for study in tree.items(document, "CurrentRequestedProcedureEvidenceSequence")
        for series in tree.items(study, "ReferencedSeriesSequence")
        for instance in tree.items(series, "ReferencedSOPSequence")
    )


def _withdraw(session: Session, draft: Draft, *, now: datetime, actor: str, why: str) -> None:
    """Mark a draft and cancel its unsent documents; those that may have been sent are withdrawn later."""
    job = session.get_one(Job, draft.job_id, with_for_update=True)
    draft.withdrawal = Withdrawal.DUE.value
    draft.content = {**draft.content, _WHY: why}
    reason = reason_of(draft)
    unsent = select(Delivery).where(
        Delivery.job_id == job.id, Delivery.state.in_([state.value for state in UNSENT])
    )
    for delivery in session.scalars(unsent):
        check_delivery_step(delivery.state, DeliveryState.CANCELED)
        delivery.state, delivery.code, delivery.reason = DeliveryState.CANCELED.value, WITHDRAWN, reason
        delivery.updated_at = now
        delivery.lease_owner = delivery.lease_token = delivery.lease_until = None
    if job.state in (JobState.DRAFTED.value, JobState.DELIVERING.value):
        move(session, job, JobState.CANCELED, now=now, code=WITHDRAWN, reason=reason, actor=actor)
    record(
        session,
        Event(
            action=Action.WITHDRAWN,
            actor=actor,
            study_id=draft.study_id,
            details={"revision": draft.revision, "code": why},
        ),
        at=now,
    )

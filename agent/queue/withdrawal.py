"""Withdrawal of documents that were sent under a patient who is no longer the study's.

Marks the drafts and cancels unsent documents in the transaction that records the correction.
`agent.reports.withdraw` writes the documents that inform the archive.
"""

from __future__ import annotations

import io
from datetime import datetime
from enum import StrEnum

from pydicom import dcmread
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

WITHDRAWN = "withdrawn"
_REASON = "the patient of the study was corrected"
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


def withdraw_others(
    session: Session, study: Study, patient: Patient | None, *, now: datetime, actor: str
) -> int:
    """Withdraw the study's drafts whose documents name another patient, or all if `patient` is None.

    Return how many.
    """
    drafts = session.scalars(
        select(Draft).where(
            Draft.study_id == study.id, Draft.outcome.in_(STATING), Draft.withdrawal.is_(None)
        )
    ).all()
    withdrawn = 0
    for draft in drafts:
        named = _named_in(session, draft)
        # A draft under an earlier identifier of the same patient stands.
        if named is None or (patient is not None and not contradicts(patient, current(session, named))):
            continue
        _withdraw(session, draft, now=now, actor=actor)
        withdrawn += 1
    return withdrawn


def is_withdrawn(session: Session, job_id: int) -> bool:
    """Whether a job's draft was withdrawn: its documents must not be sent, or sent again."""
    return bool(session.scalar(select(exists().where(Draft.job_id == job_id, Draft.withdrawal.is_not(None)))))


def _named_in(session: Session, draft: Draft) -> Patient | None:
    # Messages of the same draft are no DICOM; they name the patient of its Structured Reports.
    content = session.scalar(
        select(Document.content)
        .where(Document.draft_id == draft.id, Document.role.in_(PAIR))
        .order_by(Document.id)
        .limit(1)
    )
    if content is None:
        return None
    try:
        return patient_of_dataset(dcmread(io.BytesIO(content)))
    except InvalidDicomError:
        # A damaged row identifies no patient; it must not block the completion of other studies.
        return None


def _withdraw(session: Session, draft: Draft, *, now: datetime, actor: str) -> None:
    """Mark a draft and cancel its unsent documents; those that may have been sent are withdrawn later."""
    job = session.get_one(Job, draft.job_id, with_for_update=True)
    draft.withdrawal = Withdrawal.DUE.value
    unsent = select(Delivery).where(
        Delivery.job_id == job.id, Delivery.state.in_([state.value for state in UNSENT])
    )
    for delivery in session.scalars(unsent):
        check_delivery_step(delivery.state, DeliveryState.CANCELED)
        delivery.state, delivery.code, delivery.reason = DeliveryState.CANCELED.value, WITHDRAWN, _REASON
        delivery.updated_at = now
        delivery.lease_owner = delivery.lease_token = delivery.lease_until = None
    if job.state in (JobState.DRAFTED.value, JobState.DELIVERING.value):
        move(session, job, JobState.CANCELED, now=now, code=WITHDRAWN, reason=_REASON, actor=actor)
    record(
        session,
        Event(
            action=Action.WITHDRAWN,
            actor=actor,
            study_id=draft.study_id,
            details={"revision": draft.revision, "code": WITHDRAWN},
        ),
        at=now,
    )

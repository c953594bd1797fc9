"""The states of a job and of a delivery: the allowed transitions, and the one function that makes them.

`docs/queue.md` shows `diagram()`, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.states import DeliveryState, JobState
from agent.database.tables import Job, JobEvent
from agent.database.wakeup import JOBS, notify
from agent.foundation.errors import InvalidTransition


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One allowed transition; `before` is None for a new row. `why` is the text in the documentation."""

    before: str | None
    after: str
    why: str


_J, _D = JobState, DeliveryState


def _step(before: str | None, after: str, why: str) -> Transition:
    return Transition(before=before, after=after, why=why)


TRANSITIONS: tuple[Transition, ...] = (
    _step(None, _J.RECEIVING, "the first image of this revision was stored"),
    _step(_J.RECEIVING, _J.QUEUED, "the quiet time or force_at has passed, and an image is eligible"),
    _step(_J.RECEIVING, _J.SKIPPED, "no image is eligible; the code is the rule's name"),
    _step(_J.RECEIVING, _J.FAILED, "the study cannot be drafted as it is, such as two patients in one study"),
    _step(_J.RECEIVING, _J.CANCELED, "a person, or a newer revision, stopped it"),
    _step(_J.QUEUED, _J.GENERATING, "a worker took the lease; this counts as an attempt"),
    _step(_J.QUEUED, _J.CANCELED, "a person, or a newer revision, stopped it"),
    _step(_J.GENERATING, _J.DRAFTED, "draft, documents and deliveries were committed together"),
    _step(_J.GENERATING, _J.QUEUED, "a retryable error, a worker that stopped, or an expired lease"),
    _step(_J.GENERATING, _J.FAILED, "an error that a retry cannot fix, such as unreadable pixels"),
    _step(_J.GENERATING, _J.DEAD, "the attempts are used up"),
    _step(_J.GENERATING, _J.CANCELED, "a person stopped it; the worker's result will be discarded"),
    _step(_J.DRAFTED, _J.DELIVERING, "a deliverer claimed the first of its documents"),
    _step(_J.DRAFTED, _J.DEAD, "every delivery was refused before the first attempt"),
    _step(_J.DRAFTED, _J.CANCELED, "a person, or a corrected patient, stopped it before anything was sent"),
    _step(_J.DELIVERING, _J.DELIVERED, "every destination stored every document"),
    _step(_J.DELIVERED, _J.DELIVERING, "a destination has lost a document (storage commitment)"),
    _step(_J.DELIVERING, _J.DEAD, "a destination refused permanently, or the retries ran out"),
    _step(_J.DELIVERING, _J.CANCELED, "a person, or a corrected patient, stopped what was still to be sent"),
    _step(_J.SKIPPED, _J.QUEUED, "a person requested a retry, and the rules accept an image now"),
    _step(_J.FAILED, _J.QUEUED, "a person requested a retry, and the gate accepts the study now"),
    _step(_J.DEAD, _J.QUEUED, "a person requested a retry, and the gate accepts the study; no draft existed"),
    _step(_J.DEAD, _J.DELIVERING, "a person revived the deliveries of an existing draft"),
    _step(
        _J.CANCELED,
        _J.QUEUED,
        "a person requested it after all, and the gate accepts the study; no draft existed",
    ),
    _step(_J.CANCELED, _J.DELIVERING, "a person requested delivery of the existing draft after all"),
    _step(None, _J.DRAFTED, "a radiologist's verdict, or a withdrawal, was committed with its documents"),
)

DELIVERY_TRANSITIONS: tuple[Transition, ...] = (
    _step(None, _D.PENDING, "the document was committed with its draft"),
    _step(None, _D.DEAD, "the destination may not receive it, such as a demonstration model's draft"),
    _step(_D.PENDING, _D.SENDING, "a deliverer took the lease; this counts as an attempt"),
    _step(_D.PENDING, _D.DEAD, "the time to give up passed while the destination was down"),
    _step(_D.PENDING, _D.CANCELED, "a person stopped it"),
    _step(_D.SENDING, _D.STORED, "the destination answered success"),
    _step(
        _D.SENDING, _D.PENDING, "not accepted this time, or the lease expired: the same bytes are sent again"
    ),
    _step(_D.SENDING, _D.DEAD, "refused permanently, or the time to give up passed"),
    _step(_D.SENDING, _D.CANCELED, "a person stopped it"),
    _step(_D.STORED, _D.COMMITTED, "the destination took responsibility for it (storage commitment)"),
    _step(_D.STORED, _D.PENDING, "storage commitment failed: the destination has lost it"),
    _step(_D.STORED, _D.UNCOMMITTED, "no answer to requests for commitment; a person should check"),
    _step(_D.STORED, _D.DEAD, "lost repeatedly, or the destination holds another object under its UID"),
    _step(_D.UNCOMMITTED, _D.COMMITTED, "the destination answered after all"),
    _step(_D.UNCOMMITTED, _D.PENDING, "the destination answered after all: it has lost it"),
    _step(_D.UNCOMMITTED, _D.DEAD, "the destination answered after all: it refuses to keep it"),
    _step(_D.UNCOMMITTED, _D.STORED, "a person requested commitment again"),
    _step(_D.DEAD, _D.PENDING, "a person revived it"),
    _step(_D.CANCELED, _D.PENDING, "a person revived it"),
)

_ALLOWED_JOB = frozenset((step.before, step.after) for step in TRANSITIONS)
_ALLOWED_DELIVERY = frozenset((step.before, step.after) for step in DELIVERY_TRANSITIONS)


def move(
    session: Session,
    job: Job,
    to: JobState,
    *,
    now: datetime,
    code: str | None = None,
    reason: str | None = None,
    actor: str = "",
    admitted: bool = False,
) -> None:
    """Move a job to its next state and record the transition in its history.

    admitted: set only by the gate (`agent.queue.gate`), which alone may admit a job to QUEUED.

    The caller holds the row: on SQLite the transaction does, on PostgreSQL `FOR UPDATE`. A new row is
    one whose `state` is still None. Outside GENERATING a job has no lease, so leaving it clears the lease.

    Raises:
        InvalidTransition: the present state does not lead there; nothing was changed.
    """
    before: str | None = job.state
    check_job_step(before, to)
    if to is JobState.QUEUED and not admitted:
        raise InvalidTransition("only the gate lets a job into the queue (agent.queue.gate)")
    job.state = to.value
    job.code, job.reason, job.updated_at = code, reason, now
    if to is not JobState.GENERATING:
        job.lease_owner = job.lease_token = job.lease_until = None
    if before is None:
        session.add(job)
        session.flush()
    session.add(
        JobEvent(
            job_id=job.id, at=now, from_state=before, to_state=to.value, code=code, reason=reason, actor=actor
        )
    )
    if to is JobState.QUEUED:
        notify(session, JOBS)
    if before == JobState.GENERATING and to is JobState.DRAFTED:
        _audit(session, job, Action.DRAFT, now, actor)
    elif to in (JobState.FAILED, JobState.DEAD) and before in (JobState.RECEIVING, JobState.GENERATING):
        _audit(session, job, Action.NO_DRAFT, now, actor)


def _audit(session: Session, job: Job, action: Action, now: datetime, actor: str) -> None:
    """Record that a study's images were read, with or without a draft."""
    event = Event(
        action=action,
        actor=actor,
        succeeded=action is Action.DRAFT,
        study_id=job.study_id,
        details={"revision": job.revision, "code": job.code},
    )
    record(session, event, at=now)


def check_job_step(before: str | None, after: str) -> None:
    """Raise InvalidTransition unless this job transition is allowed."""
    if (before, after) not in _ALLOWED_JOB:
        raise InvalidTransition(f"a job cannot go from {before or 'nothing'} to {after}")


def check_delivery_step(before: str | None, after: str) -> None:
    """Raise InvalidTransition unless this delivery transition is allowed."""
    if (before, after) not in _ALLOWED_DELIVERY:
        raise InvalidTransition(f"a delivery cannot go from {before or 'nothing'} to {after}")


def diagram() -> str:
    """Return both life cycles as text, one lettered line for each transition, for the documentation.

    A line reads `(a) RECEIVING -> QUEUED: why`; a new row starts at `*`.
    """
    return "\n\n".join(
        _lettered(title, steps) for title, steps in (("Job", TRANSITIONS), ("Delivery", DELIVERY_TRANSITIONS))
    )


def _lettered(title: str, steps: tuple[Transition, ...]) -> str:
    width = max(len(step.before or "*") for step in steps)
    target = max(len(step.after) for step in steps)
    lines = [
        f"({_letter(index)}) {step.before or '*':>{width}} -> {step.after:<{target}}  {step.why}"
        for index, step in enumerate(steps)
    ]
    return "\n".join([title, *lines])


def _letter(index: int) -> str:
    """Return a, b, … z, aa, ab, …"""
    first = _letter(index // 26 - 1) if index >= 26 else ""
    return first + chr(ord("a") + index % 26)

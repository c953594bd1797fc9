"""What a person may do to a job: try it again, stop it, or let it overtake."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import Delivery, Draft, Job
from agent.database.wakeup import DELIVERIES, notify
from agent.foundation.errors import InvalidTransition
from agent.queue.commitments import ask_again
from agent.queue.deliveries import set_state
from agent.queue.states import UNSENT, DeliveryState, JobState, move


def retry(database: Database, job_id: int, *, give_up_after_s: float, actor: str) -> JobState:
    """Bring a stopped job back: its dead or canceled deliveries if it has a draft, else the drafting.

    Documents that are stored but not committed are asked for again; a delivered job has nothing else.

    Raises:
        InvalidTransition: there is no such job, or it has not stopped.
    """
    with database.transaction() as session:
        now = database_now(session)
        job = _locked(session, job_id)
        if ask_again(session, job_id, now=now) and job.state == JobState.DELIVERED.value:
            return JobState.DELIVERED
        revived = _revive(session, job_id, now=now, give_up_after_s=give_up_after_s)
        drafted = session.scalar(
            select(Draft.id).where(Draft.job_id == job_id, Draft.outcome == "drafted").limit(1)
        )
        to = JobState.DELIVERING if drafted is not None else JobState.QUEUED
        if drafted is not None and not revived:
            raise InvalidTransition(f"job {job_id} has nothing that could be sent again")
        move(session, job, to, now=now, code="retry", reason="asked for by a person", actor=actor)
        if to is JobState.QUEUED:
            job.attempts, job.run_after = 0, now
        return to


def cancel(database: Database, job_id: int, *, reason: str, actor: str) -> None:
    """Stop a job and what is still to be sent of it; what a PACS has already stays there.

    Raises:
        InvalidTransition: there is no such job, or it has already ended.
    """
    with database.transaction() as session:
        now = database_now(session)
        job = _locked(session, job_id)
        move(session, job, JobState.CANCELED, now=now, code="canceled", reason=reason, actor=actor)
        _cancel_open(session, job_id, now=now)


def prioritise(database: Database, job_id: int, priority: int) -> None:
    """Set a job's and its deliveries' priority; smaller runs first (0 STAT, 50 routine).

    Raises:
        InvalidTransition: there is no such job.
    """
    with database.transaction() as session:
        job = _locked(session, job_id)
        job.priority = priority
        session.execute(
            update(Delivery)
            .where(Delivery.job_id == job_id)
            .values(priority=priority)
            .execution_options(synchronize_session=False)
        )


def _revive(session: Session, job_id: int, *, now: datetime, give_up_after_s: float) -> int:
    """Make a job's dead and canceled deliveries pending again; return how many."""
    stopped = select(Delivery).where(
        Delivery.job_id == job_id,
        Delivery.state.in_((DeliveryState.DEAD.value, DeliveryState.CANCELED.value)),
    )
    deliveries = session.scalars(stopped).all()
    for delivery in deliveries:
        set_state(delivery, DeliveryState.PENDING, now)
        delivery.attempts, delivery.losses, delivery.run_after = 0, 0, now
        delivery.give_up_at = now + timedelta(seconds=give_up_after_s)
    notify(session, DELIVERIES)
    return len(deliveries)


def _cancel_open(session: Session, job_id: int, *, now: datetime) -> None:
    """Cancel what is still to be sent of a job; a document in flight loses its lease."""
    unsent = select(Delivery).where(
        Delivery.job_id == job_id, Delivery.state.in_([state.value for state in UNSENT])
    )
    for delivery in session.scalars(unsent):
        set_state(delivery, DeliveryState.CANCELED, now)


def _locked(session: Session, job_id: int) -> Job:
    job = session.scalar(select(Job).where(Job.id == job_id).with_for_update())
    if job is None:
        raise InvalidTransition(f"there is no job {job_id}")
    return job

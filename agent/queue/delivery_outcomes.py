"""The outcome of a delivery as stored: its last failure, why it was given up, a warning, its time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from agent.database.remarks import remark
from agent.database.states import JobState
from agent.database.tables import Delivery, Draft, Job
from agent.foundation.failure import Failure

# The codes of a document stored with a warning, and of one whose time to give up has passed.
WARNED, GAVE_UP = "stored-with-warning", "gave-up"


def given_up(code: str | None, reason: str | None) -> Failure:
    """Return the reason for giving up: the time has passed, and the last failure before that."""
    last = f"; the last failure: {reason} [{code}]" if code else "; it was never tried"
    return Failure(code=GAVE_UP, reason=f"not stored until the time to give up{last}", retryable=False)


def last_failure(delivery: Delivery) -> Failure | None:
    """Return the failure that a delivery carries from an earlier attempt, or None."""
    if delivery.code is None or delivery.reason is None:
        return None
    return Failure(code=delivery.code, reason=delivery.reason, retryable=True)


def tell_warning(session: Session, job: Job, delivery: Delivery, now: datetime, actor: str) -> None:
    """Add the warning that a document was stored with to the history of its job."""
    if job.state != JobState.DELIVERING.value:
        return  # a step to SKIPPED or FAILED would be counted twice
    reason = f"{delivery.destination}: {delivery.warning}"
    remark(session, job, code=WARNED, reason=reason, actor=actor, at=now)


def measure(session: Session, job: Job, now: datetime) -> None:
    """Record how long the study waited, from its last image until every destination had the draft."""
    drafts = select(Draft.id, Draft.created_at, Draft.waited_s).where(Draft.job_id == job.id)
    for draft_id, created_at, waited_s in session.execute(drafts).all():
        if waited_s is None:
            continue
        session.execute(
            update(Draft)
            .where(Draft.id == draft_id)
            .values(delivered_s=waited_s + (now - created_at).total_seconds())
            .execution_options(synchronize_session=False)
        )

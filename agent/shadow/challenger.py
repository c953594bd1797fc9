"""The challenger's queue: the studies that a second model drafts too, each once.

It follows the main model: a study is due as soon as the main model has drafted it, and only while no study
waits for the main model, so that the challenger delays nobody. A row is leased as a job is
(`agent.queue.jobs`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import ChallengerDraft, Draft, Job
from agent.foundation.errors import LeaseLost

WAITING, RUNNING, DRAFTED, FAILED = "queued", "running", "drafted", "failed"
MAXIMUM_ATTEMPTS = 3
# Studies that the main model drafted longer ago are not drafted again: their images may be gone.
LOOK_BACK = timedelta(days=7)
_BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengerClaim:
    """A study that this process may draft until its lease ends."""

    row_id: int
    token: str
    study_id: int
    job_id: int
    revision: int
    attempts: int


def claim_next(database: Database, model_digest: str, lease_s: float) -> ChallengerClaim | None:
    """Take the oldest study that the challenger has not drafted; None if there is none, or the main model
    has work.

    Raises:
        DatabaseUnavailable: nothing was taken.
    """
    with database.transaction() as session:
        now = database_now(session)
        waiting = select(Job.id).where(Job.state == JobState.QUEUED.value, Job.run_after <= now).limit(1)
        if session.scalar(waiting) is not None:
            return None
    enqueue_due(database, model_digest)
    with database.transaction() as session:
        now = database_now(session)
        _fail_exhausted(session, model_digest, now)
        row = session.scalars(
            select(ChallengerDraft)
            .where(
                ChallengerDraft.model_digest == model_digest,
                or_(
                    ChallengerDraft.state == WAITING,
                    (ChallengerDraft.state == RUNNING) & (ChallengerDraft.lease_until < now),
                ),
            )
            .order_by(ChallengerDraft.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if row is None:
            return None
        token = str(uuid.uuid4())
        row.state, row.attempts = RUNNING, row.attempts + 1
        row.lease_token, row.lease_until = token, now + timedelta(seconds=lease_s)
        return ChallengerClaim(
            row_id=row.id,
            token=token,
            study_id=row.study_id,
            job_id=row.job_id,
            revision=row.revision,
            attempts=row.attempts,
        )


def _fail_exhausted(session: Session, model_digest: str, now: datetime) -> None:
    """A study that killed its process as often as is allowed is not tried again."""
    session.execute(
        update(ChallengerDraft)
        .where(
            ChallengerDraft.model_digest == model_digest,
            ChallengerDraft.state == RUNNING,
            ChallengerDraft.lease_until < now,
            ChallengerDraft.attempts >= MAXIMUM_ATTEMPTS,
        )
        .values(state=FAILED, code="lease-expired", lease_token=None, lease_until=None)
    )


def enqueue_due(database: Database, model_digest: str) -> int:
    """Enter the studies that the main model has drafted and this model has not; return their number.

    If another process entered one meanwhile, it is still entered only once.
    """
    known = exists().where(
        ChallengerDraft.study_id == Draft.study_id,
        ChallengerDraft.revision == Draft.revision,
        ChallengerDraft.model_digest == model_digest,
    )
    with database.reading() as session:
        now = database_now(session)
        due = session.execute(
            select(Draft.study_id, Draft.job_id, Draft.revision)
            .where(
                Draft.outcome == "drafted",
                Draft.withdrawal.is_(None),
                Draft.model_digest != model_digest,
                Draft.created_at > now - LOOK_BACK,
                ~known,
            )
            .order_by(Draft.id)
            .limit(_BATCH)
        ).all()
    entered = 0
    for study_id, job_id, revision in due:
        row = {"study_id": study_id, "job_id": job_id, "revision": revision, "model_digest": model_digest}
        try:
            with database.transaction() as session:
                session.execute(
                    insert(ChallengerDraft).values(state=WAITING, content={}, created_at=now, **row)
                )
        except IntegrityError:
            continue
        entered += 1
    return entered


def finish(
    session: Session,
    claim: ChallengerClaim,
    *,
    model_name: str,
    text: str,
    content: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write the challenger's draft.

    Raises:
        LeaseLost: another process has taken the study; the caller's transaction must be rolled back.
    """
    values = {"model_name": model_name, "text": text, "content": dict(content), "drafted_at": now}
    _end(session, claim, state=DRAFTED, code=None, **values)


def fail(session: Session, claim: ChallengerClaim, code: str, *, retryable: bool) -> None:
    """Record why a study was not drafted; it is tried again if that may help.

    Raises:
        LeaseLost: another process has taken the study.
    """
    again = retryable and claim.attempts < MAXIMUM_ATTEMPTS
    _end(session, claim, state=WAITING if again else FAILED, code=code)


def _end(session: Session, claim: ChallengerClaim, **values: Any) -> None:
    changed = session.execute(
        update(ChallengerDraft)
        .where(ChallengerDraft.id == claim.row_id, ChallengerDraft.lease_token == claim.token)
        .values(lease_token=None, lease_until=None, **values)
        .execution_options(synchronize_session=False)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost("another process drafts this study for the challenger; this result is discarded")

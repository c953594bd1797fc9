"""The job queue: which worker drafts which study, never two at once.

A claim is a lease with a fencing token. Everything that ends a claim names the token and must change
exactly one row, so that a worker that lost its lease (a long pause, a cut network) cannot overwrite the
result of the new owner. All times are the database's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Job, Study
from agent.foundation.errors import LeaseLost
from agent.foundation.failure import Failure, RetryPolicy
from agent.queue.due import next_due
from agent.queue.gate import readmit
from agent.queue.lanes import lane_for
from agent.queue.lease import prolong
from agent.queue.states import move

LEASE_EXPIRED = "lease-expired"
_RECLAIM_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this owner may work on until the lease ends; `attempts` counts this one."""

    job_id: int
    token: str
    study_id: int
    study_instance_uid: str
    revision: int
    priority: int
    attempts: int
    incomplete: bool
    lane: Lane = Lane.ROUTINE
    site: str = ""


def idempotency_key(kind: str, study_instance_uid: str, revision: int, model_digest: str = "-") -> str:
    """Return the key that makes a job unique; '-' stands for whatever model the worker has loaded."""
    return f"{kind}|{study_instance_uid}|{revision}|{model_digest}"


def enqueue(
    session: Session,
    study: Study,
    *,
    now: datetime,
    revision: int,
    priority: int = 50,
    lane: Lane = Lane.ROUTINE,
    due_at: datetime | None = None,
    force_at: datetime | None = None,
    kind: str = "draft",
    actor: str = "",
) -> Job | None:
    """Create the job of one revision in RECEIVING; return None if it exists already.

    lane: the lane by which its study came in (`agent.queue.lanes`).
    """
    job = Job(
        kind=kind,
        idempotency_key=idempotency_key(kind, study.study_instance_uid, revision),
        study_id=study.id,
        revision=revision,
        priority=priority,
        lane=lane_for(lane, priority).value,
        site=study.site,
        due_at=due_at,
        force_at=force_at,
        run_after=now,
        created_at=now,
        updated_at=now,
    )
    try:
        with session.begin_nested():
            move(session, job, JobState.RECEIVING, now=now, actor=actor)
    except IntegrityError:
        return None
    return job


def claim(
    database: Database,
    owner: str,
    lease_s: float,
    limit: int,
    *,
    policy: RetryPolicy | None = None,
    chance: Random | None = None,
    weights: Mapping[str, float] | None = None,
    most_yielding: int | None = None,
) -> list[Claim]:
    """Take up to `limit` queued jobs for `lease_s` seconds, in the order of `agent.queue.turns`.

    weights: the shares of sites within a lane; 1 for each one that is not named. most_yielding: the most of
    them from lanes that yield (`Lane.yields`), so that some places stay free for urgent jobs.

    Expired leases of other owners are reclaimed first. The attempt is counted here and not on failure, so
    that a study that kills its worker runs out of attempts too.
    """
    with database.relaxed() as session:
        now = database_now(session)
        _reclaim(session, now, policy or RetryPolicy(), chance or Random(), actor=owner)
        claims: list[Claim] = []
        passed_over: set[tuple[Lane, str]] = set()
        while len(claims) < limit:
            room = limit - len(claims)
            spare = room if most_yielding is None else most_yielding - sum(one.lane.yields for one in claims)
            due = next_due(session, now, room, weights or {}, passed_over, yielding=spare)
            if not due:
                break
            claims.extend(_start(session, job, uid, now, owner, lease_s) for job, uid in due)
        return claims


def _start(
    session: Session, job: Job, study_instance_uid: str, now: datetime, owner: str, lease_s: float
) -> Claim:
    move(session, job, JobState.GENERATING, now=now, actor=owner)
    job.attempts += 1
    job.lease_owner, job.lease_token = owner, str(uuid.uuid4())
    job.lease_until = now + timedelta(seconds=lease_s)
    return _claim_of(job, study_instance_uid)


def _claim_of(job: Job, study_instance_uid: str) -> Claim:
    if job.lease_token is None:
        raise LeaseLost(f"job {job.id} has no lease")
    return Claim(
        job_id=job.id,
        token=job.lease_token,
        study_id=job.study_id,
        study_instance_uid=study_instance_uid,
        revision=job.revision,
        lane=Lane(job.lane),
        site=job.site,
        priority=job.priority,
        attempts=job.attempts,
        incomplete=job.incomplete,
    )


def heartbeat(database: Database, claims: Sequence[Claim], lease_s: float) -> frozenset[int]:
    """Prolong the leases by `lease_s` from now; return the ids of jobs whose lease is lost."""
    return prolong(database, Job, {one.job_id: one.token for one in claims}, lease_s)


def finish(
    session: Session,
    claim: Claim,
    to: JobState = JobState.DRAFTED,
    *,
    now: datetime,
    code: str | None = None,
    reason: str | None = None,
    actor: str = "",
) -> Job:
    """End a claim inside the caller's transaction, which also holds the result.

    A return to QUEUED passes the gate, so the resulting state may differ: use the job's.

    Raises:
        LeaseLost: the token is no longer the job's; the caller's transaction must be rolled back.
    """
    changed = session.execute(
        update(Job)
        .where(
            Job.id == claim.job_id,
            Job.lease_token == claim.token,
            Job.state == JobState.GENERATING.value,
        )
        .values(lease_token=None)
        .execution_options(synchronize_session=False)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost(f"job {claim.job_id} belongs to another worker now; this result is discarded")
    job = session.get_one(Job, claim.job_id, populate_existing=True)
    if to is JobState.QUEUED:
        readmit(session, job, now=now, code=code, reason=reason, actor=actor)
    else:
        move(session, job, to, now=now, code=code, reason=reason, actor=actor)
    return job


def fail(
    database: Database,
    claim: Claim,
    failure: Failure,
    policy: RetryPolicy,
    *,
    chance: Random,
    actor: str = "",
) -> JobState:
    """End a claim that did not succeed; return the job's new state.

    Retryable with attempts left: QUEUED after a backoff; attempts used up: DEAD; else FAILED.

    Raises:
        LeaseLost: another worker owns the job now.
    """
    to = after_failure(failure, claim.attempts, policy)
    with database.transaction() as session:
        now = database_now(session)
        job = finish(session, claim, to, now=now, code=failure.code, reason=failure.reason, actor=actor)
        if to is JobState.QUEUED:
            wait_s = policy.wait_s(claim.attempts, chance.random())
            job.run_after = now + timedelta(seconds=wait_s)
        return JobState(job.state)


def after_failure(failure: Failure, attempts: int, policy: RetryPolicy) -> JobState:
    """Return the state that a failed attempt number `attempts` leads to."""
    if not failure.retryable:
        return JobState.FAILED
    return JobState.QUEUED if attempts < policy.maximum_attempts else JobState.DEAD


def release(database: Database, claims: Sequence[Claim], *, actor: str = "") -> int:
    """Return jobs without counting the attempt: the worker is shutting down."""
    given_back = 0
    for one in claims:
        try:
            with database.transaction() as session:
                now = database_now(session)
                job = finish(session, one, JobState.QUEUED, now=now, code="released", actor=actor)
                job.attempts -= 1
                job.run_after = now
        except LeaseLost:
            continue
        given_back += 1
    return given_back


def reclaim_expired(
    database: Database,
    policy: RetryPolicy | None = None,
    *,
    chance: Random | None = None,
    actor: str = "housekeeping",
) -> int:
    """Reclaim the jobs whose owner sends no more heartbeats; return how many."""
    with database.transaction() as session:
        now = database_now(session)
        return _reclaim(session, now, policy or RetryPolicy(), chance or Random(), actor=actor)


def _reclaim(session: Session, now: datetime, policy: RetryPolicy, chance: Random, *, actor: str) -> int:
    expired = (
        select(Job)
        .where(Job.state == JobState.GENERATING.value, Job.lease_until < now)
        .limit(_RECLAIM_BATCH)
        .with_for_update(skip_locked=True)
    )
    jobs = session.scalars(expired).all()
    for job in jobs:
        silent = Failure(code=LEASE_EXPIRED, reason="the worker's lease expired", retryable=True)
        to = after_failure(silent, job.attempts, policy)
        if to is JobState.QUEUED:
            readmit(session, job, now=now, code=silent.code, reason=silent.reason, actor=actor)
        else:
            move(session, job, to, now=now, code=silent.code, reason=silent.reason, actor=actor)
        wait_s = policy.wait_s(job.attempts, chance.random())
        job.run_after = now + timedelta(seconds=wait_s)
    return len(jobs)

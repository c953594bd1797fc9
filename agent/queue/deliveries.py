"""The outbox: documents to be sent to destinations, under the same leases and fencing as jobs.

The job's row is locked before its deliveries' rows wherever both change, so that two deliverers that
finish the last two documents of one job see each other and cannot deadlock.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.states import UNSENT, DeliveryState, JobState
from agent.database.tables import Delivery, Document, Draft, Job, Study
from agent.database.wakeup import DELIVERIES, notify
from agent.foundation.errors import LeaseLost
from agent.foundation.failure import Failure, RetryPolicy
from agent.queue.delivery_outcomes import given_up, last_failure, measure, tell_warning
from agent.queue.lease import prolong
from agent.queue.order import nothing_earlier
from agent.queue.states import check_delivery_step, move
from agent.queue.withdrawal import may_go_out

_RECLAIM_BATCH = 100
_HELD = (DeliveryState.STORED.value, DeliveryState.COMMITTED.value, DeliveryState.UNCOMMITTED.value)
_IN_DELIVERY = (JobState.DRAFTED.value, JobState.DELIVERING.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """A document that this deliverer may send; `content` is the Part 10 file, the same in every attempt."""

    delivery_id: int
    job_id: int
    document_id: int
    destination: str
    token: str
    attempts: int
    give_up_at: datetime
    sop_class_uid: str
    sop_instance_uid: str
    content: bytes
    demonstration: bool = False


def add(
    session: Session,
    document: Document,
    job: Job,
    destination: str,
    *,
    now: datetime,
    give_up_after_s: float,
    priority: int,
    refused: Failure | None = None,
) -> Delivery:
    """Put a document into the outbox; with `refused` it is DEAD from the start, and shown as such."""
    state = DeliveryState.PENDING if refused is None else DeliveryState.DEAD
    check_delivery_step(None, state)
    delivery = Delivery(
        document_id=document.id,
        job_id=job.id,
        destination=destination,
        state=state.value,
        priority=priority,
        run_after=now,
        give_up_at=now + timedelta(seconds=give_up_after_s),
        code=refused.code if refused else None,
        reason=refused.reason if refused else None,
        created_at=now,
        updated_at=now,
    )
    session.add(delivery)
    if state is DeliveryState.PENDING:
        notify(session, DELIVERIES)
    return delivery


def claim(
    database: Database, owner: str, destination: str, lease_s: float, limit: int, *, in_order: bool = False
) -> list[DeliveryClaim]:
    """Take up to `limit` due documents of one destination; their jobs become DELIVERING.

    in_order: for each study only the earliest one not yet sent, for messages that replace each other.
    """
    with database.relaxed() as session:
        now = database_now(session)
        due = (
            select(Delivery, Document, Draft.demonstration)
            .join(Document, Document.id == Delivery.document_id)
            .join(Draft, Draft.id == Document.draft_id)
            .join(Study, Study.id == Draft.study_id)
            .where(
                Delivery.destination == destination,
                Delivery.state == DeliveryState.PENDING.value,
                Delivery.run_after <= now,
                may_go_out(),
                *((nothing_earlier(),) if in_order else ()),
            )
            .order_by(Delivery.priority, Delivery.run_after, Delivery.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=Delivery)
        )
        claims = []
        for delivery, document, demonstration in session.execute(due).all():
            token = str(uuid.uuid4())
            set_state(delivery, DeliveryState.SENDING, now)
            delivery.attempts += 1
            delivery.lease_owner, delivery.lease_token = owner, token
            delivery.lease_until = now + timedelta(seconds=lease_s)
            claims.append(_claim_of(delivery, document, token, demonstration=demonstration))
        _start_jobs(session, {one.job_id for one in claims}, now, owner, destination)
        return claims


def _claim_of(delivery: Delivery, document: Document, token: str, *, demonstration: bool) -> DeliveryClaim:
    return DeliveryClaim(
        delivery_id=delivery.id,
        job_id=delivery.job_id,
        document_id=document.id,
        destination=delivery.destination,
        token=token,
        attempts=delivery.attempts,
        give_up_at=delivery.give_up_at,
        sop_class_uid=document.sop_class_uid,
        sop_instance_uid=document.sop_instance_uid,
        content=document.content,
        demonstration=demonstration,
    )


def _start_jobs(
    session: Session, job_ids: Iterable[int], now: datetime, actor: str, destination: str
) -> None:
    drafted = (
        select(Job)
        .where(Job.id.in_(sorted(job_ids)), Job.state == JobState.DRAFTED.value)
        .order_by(Job.id)
        .with_for_update()
    )
    for job in session.scalars(drafted):
        move(session, job, JobState.DELIVERING, now=now, actor=actor)
        details = {"destination": destination, "revision": job.revision}
        begin = Event(action=Action.SENDING, actor=actor, study_id=job.study_id, details=details)
        record(session, begin, at=now)


def heartbeat(database: Database, claims: Sequence[DeliveryClaim], lease_s: float) -> frozenset[int]:
    """Prolong the leases by `lease_s` from now; return the ids of deliveries whose lease is lost."""
    return prolong(database, Delivery, {one.delivery_id: one.token for one in claims}, lease_s)


def stored(
    database: Database,
    claim: DeliveryClaim,
    *,
    actor: str = "",
    commit: bool = False,
    warning: str | None = None,
) -> None:
    """Record that the destination has stored it: STORED, and the job DELIVERED if it was the last.

    commit: request storage commitment for it (`agent.delivery.commitments`).
    warning: the warning status that it was stored with, if any; kept with the delivery.

    Raises:
        LeaseLost: another deliverer owns this document now; the destination gives it the same answer.
    """
    with database.transaction() as session:
        now = database_now(session)
        job, delivery = _fenced(session, claim)
        set_state(delivery, DeliveryState.STORED, now)
        delivery.stored_at, delivery.warning = now, warning
        if warning is not None:
            tell_warning(session, job, delivery, now, actor)
        delivery.commit_at = now if commit else None
        delivery.commitment_uid, delivery.commit_attempts = None, 0
        _audit(session, Action.SENT, job, delivery, now, actor, claim.sop_class_uid)
        settle(session, job, now, actor)


def fail(
    database: Database,
    claim: DeliveryClaim,
    failure: Failure,
    policy: RetryPolicy,
    *,
    chance: Random,
    actor: str = "",
    at_least_s: float = 0.0,
) -> DeliveryState:
    """Record that the destination did not accept it: PENDING again after a backoff, or DEAD.

    at_least_s: the shortest wait (s), where the destination asked for one.

    DEAD at once if the failure is permanent, otherwise when the next attempt would be after `give_up_at`.

    Raises:
        LeaseLost: another deliverer has this document now.
    """
    with database.transaction() as session:
        now = database_now(session)
        job, delivery = _fenced(session, claim)
        wait_s = max(policy.wait_s(claim.attempts, chance.random()), at_least_s)
        again = now + timedelta(seconds=wait_s)
        late = failure.retryable and again > delivery.give_up_at
        to = DeliveryState.DEAD if late or not failure.retryable else DeliveryState.PENDING
        failure = given_up(failure.code, failure.reason) if late else failure
        set_state(delivery, to, now, failure)
        if to is DeliveryState.PENDING:
            delivery.run_after = again
        else:
            _audit(session, Action.NOT_SENT, job, delivery, now, actor, claim.sop_class_uid)
        settle(session, job, now, actor)
    return to


def postpone(database: Database, claims: Sequence[DeliveryClaim], wait_s: float, reason: Failure) -> None:
    """Return documents that were not tried, without counting an attempt; ignores lost leases.

    A document that failed before keeps that reason.
    """
    for one in claims:
        try:
            with database.transaction() as session:
                now = database_now(session)
                _job, delivery = _fenced(session, one)
                set_state(delivery, DeliveryState.PENDING, now, last_failure(delivery) or reason)
                delivery.attempts -= 1
                delivery.run_after = now + timedelta(seconds=wait_s)
        except LeaseLost:
            continue


def reclaim_expired(
    database: Database, policy: RetryPolicy, *, chance: Random, actor: str = "housekeeping"
) -> int:
    """Reclaim the documents whose deliverer sends no more heartbeats; return how many."""
    silent = Failure(code="lease-expired", reason="the deliverer's lease expired", retryable=True)
    with database.reading() as session:
        expired = (
            select(Delivery.id, Delivery.job_id)
            .where(
                Delivery.state == DeliveryState.SENDING.value, Delivery.lease_until < database_now(session)
            )
            .limit(_RECLAIM_BATCH)
        )
        candidates = session.execute(expired).all()
    reclaimed = 0
    for delivery_id, job_id in candidates:
        with database.transaction() as session:
            now = database_now(session)
            job = _lock_job(session, job_id)
            delivery = session.get_one(Delivery, delivery_id, populate_existing=True, with_for_update=True)
            if delivery.state != DeliveryState.SENDING.value or (delivery.lease_until or now) >= now:
                continue
            wait_s = policy.wait_s(delivery.attempts, chance.random())
            over = now + timedelta(seconds=wait_s) > delivery.give_up_at
            last = last_failure(delivery)
            if over:
                said = last or silent
                set_state(delivery, DeliveryState.DEAD, now, given_up(said.code, said.reason))
            else:
                set_state(delivery, DeliveryState.PENDING, now, last or silent)
            delivery.run_after = now + timedelta(seconds=wait_s)
            if over:
                _audit(session, Action.NOT_SENT, job, delivery, now, actor)
            settle(session, job, now, actor)
            reclaimed += 1
    return reclaimed


def give_up(database: Database, *, actor: str = "") -> int:
    """Mark waiting documents DEAD whose time to give up has passed; return how many.

    They wait unsent while their destination is unreachable, or if it is no longer in the settings.
    """
    with database.reading() as session:
        overdue = session.execute(
            select(Delivery.id, Delivery.job_id)
            .where(Delivery.state == DeliveryState.PENDING.value, Delivery.give_up_at < database_now(session))
            .limit(_RECLAIM_BATCH)
        ).all()
    count = 0
    for delivery_id, job_id in overdue:
        with database.transaction() as session:
            now = database_now(session)
            job = _lock_job(session, job_id)
            delivery = session.get_one(Delivery, delivery_id, populate_existing=True, with_for_update=True)
            if delivery.state != DeliveryState.PENDING.value or delivery.give_up_at >= now:
                continue
            set_state(delivery, DeliveryState.DEAD, now, given_up(delivery.code, delivery.reason))
            _audit(session, Action.NOT_SENT, job, delivery, now, actor)
            settle(session, job, now, actor)
            count += 1
    return count


def _audit(
    session: Session,
    action: Action,
    job: Job,
    delivery: Delivery,
    now: datetime,
    actor: str,
    sop_class_uid: str = "",
) -> None:
    details = {"destination": delivery.destination, "revision": job.revision}
    if sop_class_uid:
        details["sop_classes"] = [sop_class_uid]
    if delivery.code:
        details["code"] = delivery.code
    event = Event(
        action=action,
        actor=actor,
        succeeded=action is Action.SENT,
        study_id=job.study_id,
        details=details,
    )
    record(session, event, at=now)


def _lock_job(session: Session, job_id: int) -> Job:
    return session.get_one(Job, job_id, populate_existing=True, with_for_update=True)


def _fenced(session: Session, claim: DeliveryClaim) -> tuple[Job, Delivery]:
    """Lock the job, then the delivery, if the claim still owns it."""
    job = _lock_job(session, claim.job_id)
    owned = select(Delivery).where(
        Delivery.id == claim.delivery_id,
        Delivery.lease_token == claim.token,
        Delivery.state == DeliveryState.SENDING.value,
    )
    delivery = session.scalar(owned.with_for_update())
    if delivery is None:
        raise LeaseLost(f"delivery {claim.delivery_id} belongs to another deliverer now")
    return job, delivery


def set_state(delivery: Delivery, to: DeliveryState, now: datetime, failure: Failure | None = None) -> None:
    """Move a delivery to its next state, with a reason if there is one; only SENDING has a lease.

    Raises:
        InvalidTransition: the present state does not allow it; nothing was changed.
    """
    check_delivery_step(delivery.state, to)
    delivery.state, delivery.updated_at = to.value, now
    # While it is retried, the last failure stays visible.
    if failure is not None or to is not DeliveryState.SENDING:
        delivery.code = failure.code if failure else None
        delivery.reason = failure.reason if failure else None
    if to is not DeliveryState.SENDING:
        delivery.lease_owner = delivery.lease_token = delivery.lease_until = None


def settle(session: Session, job: Job, now: datetime, actor: str) -> None:
    """End the job when none of its deliveries can proceed.

    A job that ended otherwise (SKIPPED, FAILED) may have deliveries too, for the notice that there is no
    draft. They do not change its state.
    """
    if job.state not in _IN_DELIVERY:
        return
    session.flush()
    rows = session.execute(
        select(Delivery.state, Delivery.code, Delivery.reason, Delivery.destination)
        .where(Delivery.job_id == job.id)
        .order_by(Delivery.destination, Delivery.id)
    ).all()
    if not rows or any(row.state in UNSENT for row in rows):
        return
    dead = [row for row in rows if row.state == DeliveryState.DEAD.value]
    if dead:
        why = dict.fromkeys(f"{row.destination}: {row.reason}" for row in dead)
        move(session, job, JobState.DEAD, now=now, code=dead[0].code, reason="; ".join(why), actor=actor)
    elif all(row.state in _HELD for row in rows):
        move(session, job, JobState.DELIVERED, now=now, actor=actor)
        measure(session, job, now)

"""Storage commitment in the outbox: which stored documents to request it for, and the effect of the answers.

A request's transaction UID is committed before the request is sent, so that any process that receives the
report knows it. `commit_at` is the due time of a document's next step; claiming a document moves that time
into the future, which excludes other deliverers without a lease. Source: PS3.4 annex J.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from pydicom.uid import generate_uid
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.states import DeliveryState, JobState
from agent.database.tables import Commitment, Delivery, Document, Draft, Job, Study
from agent.foundation.failure import Failure
from agent.network.commitment_terms import (
    CommitmentAnswer,
    CommitmentItem,
    CommitmentReport,
    CommitmentRequest,
    CommitmentResult,
    CommitmentRule,
    Reception,
)
from agent.queue import deliveries
from agent.queue.states import move
from agent.queue.withdrawal import is_withdrawn

# Documents in one request.
LIMIT = 100
_ANSWERABLE = (DeliveryState.STORED.value, DeliveryState.UNCOMMITTED.value)


def request(
    database: Database, destination: str, *, timeout_s: float, limit: int = LIMIT
) -> CommitmentRequest | None:
    """Put the documents without a request into one transaction; return None if there are none.

    timeout_s: time allowed for its report.
    """
    with database.transaction() as session:
        now = database_now(session)
        rows = session.execute(_due(destination, now, limit).where(Delivery.commitment_uid.is_(None))).all()
        if not rows:
            return None
        commitment = Commitment(
            transaction_uid=str(generate_uid(prefix=None)), destination=destination, requested_at=now
        )
        session.add(commitment)
        for delivery, _document, _study in rows:
            delivery.commitment_uid = commitment.transaction_uid
            delivery.commit_attempts += 1
            delivery.commit_at = now + timedelta(seconds=timeout_s)
        return CommitmentRequest(
            transaction_uid=commitment.transaction_uid, items=tuple(_item(*row) for row in rows)
        )


def overdue(
    database: Database, destination: str, *, hold_s: float, asked: bool = True, limit: int = LIMIT
) -> tuple[CommitmentItem, ...]:
    """Claim the documents whose report is overdue; no other process claims them for `hold_s` seconds.

    With `asked=False`: the due documents of a destination that accepts no requests, each counted as an
    attempt.
    """
    with database.transaction() as session:
        now = database_now(session)
        known = Delivery.commitment_uid.is_not(None) if asked else Delivery.commitment_uid.is_(None)
        rows = session.execute(_due(destination, now, limit).where(known)).all()
        for delivery, _document, _study in rows:
            delivery.commit_at = now + timedelta(seconds=hold_s)
            if not asked:
                delivery.commit_attempts += 1
        return tuple(_item(*row) for row in rows)


def answer(
    database: Database,
    answers: Iterable[tuple[CommitmentItem, CommitmentAnswer]],
    rule: CommitmentRule,
    *,
    chance: Random,
    actor: str,
) -> None:
    """Apply the answers to documents; a document that has had another answer meanwhile is skipped."""
    by_id = {item.delivery_id: (item, said) for item, said in answers}
    with database.transaction() as session:
        now = database_now(session)
        for job, delivery in _locked(session, by_id, (DeliveryState.STORED.value,)):
            item, said = by_id[delivery.id]
            if delivery.commitment_uid == item.transaction_uid:
                _apply(session, job, delivery, said, rule, now, chance, actor)


def put_off(database: Database, items: Sequence[CommitmentItem], why: Failure, rule: CommitmentRule) -> None:
    """Schedule another request as soon as possible: the destination was not reached, which does not count as
    an attempt. A document stored longer ago than `give_up_after_s` becomes UNCOMMITTED.
    """
    by_id = {item.delivery_id: item for item in items}
    with database.transaction() as session:
        now = database_now(session)
        for _job, delivery in _locked(session, by_id, (DeliveryState.STORED.value,)):
            if delivery.commitment_uid != by_id[delivery.id].transaction_uid:
                continue
            if now > _given_up_at(delivery, now, rule):
                _stop(delivery, DeliveryState.UNCOMMITTED, now, why)
                continue
            delivery.commit_attempts -= 1
            _ask_later(delivery, now, why, 0.0)


def _given_up_at(delivery: Delivery, now: datetime, rule: CommitmentRule) -> datetime:
    """Return until when commitment is asked for. `agent.queue.forward_steps` moves it with a clock that is
    set forward. After a clock was set back, the time of storing may be in the future and does not count.
    """
    stored = delivery.stored_at or now
    if stored > now:
        return delivery.give_up_at
    return max(delivery.give_up_at, stored + timedelta(seconds=rule.give_up_after_s))


def report(
    database: Database,
    said: CommitmentReport,
    peer: frozenset[str],
    rules: Mapping[str, CommitmentRule],
    *,
    chance: Random,
    actor: str,
) -> Reception:
    """Apply a report from the peer that has the destinations `peer`; a repeated report changes nothing.

    A transaction covers the documents that were stored when it was requested; one that was sent again since
    then waits for its own report.
    """
    with database.transaction() as session:
        now = database_now(session)
        commitment = session.scalar(
            select(Commitment).where(Commitment.transaction_uid == said.transaction_uid).with_for_update()
        )
        if commitment is None:
            return Reception.UNKNOWN
        if commitment.destination not in peer or commitment.destination not in rules:
            return Reception.WRONG_PEER
        named = (
            select(Delivery.id, Document.sop_class_uid, Document.sop_instance_uid)
            .join(Document, Document.id == Delivery.document_id)
            .where(
                Delivery.destination == commitment.destination,
                Delivery.stored_at <= commitment.requested_at,
                Document.sop_instance_uid.in_(sorted(uid for _class, uid in said.answers)),
            )
        )
        keys = {row.id: (row.sop_class_uid, row.sop_instance_uid) for row in session.execute(named)}
        rule = rules[commitment.destination]
        for job, delivery in _locked(session, keys, _ANSWERABLE):
            one = said.answers.get(keys[delivery.id])
            # An older transaction's failure says nothing about the latest request.
            latest = delivery.commitment_uid == said.transaction_uid
            if one is not None and (latest or one.word is CommitmentResult.COMMITTED):
                _apply(session, job, delivery, one, rule, now, chance, actor)
        if commitment.reported_at is not None:
            return Reception.REPEATED
        commitment.reported_at = now
        return Reception.TAKEN


def _due(destination: str, now: datetime, limit: int) -> Select[Delivery, Document, str]:
    return (
        select(Delivery, Document, Study.study_instance_uid)
        .join(Document, Document.id == Delivery.document_id)
        .join(Draft, Draft.id == Document.draft_id)
        .join(Study, Study.id == Draft.study_id)
        .where(
            Delivery.destination == destination,
            Delivery.commit_at <= now,
            Delivery.state == DeliveryState.STORED.value,
        )
        .order_by(Delivery.commit_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Delivery)
    )


def _item(delivery: Delivery, document: Document, study_instance_uid: str) -> CommitmentItem:
    return CommitmentItem(
        delivery_id=delivery.id,
        transaction_uid=delivery.commitment_uid,
        attempts=delivery.commit_attempts,
        sop_class_uid=document.sop_class_uid,
        sop_instance_uid=document.sop_instance_uid,
        series_instance_uid=document.series_instance_uid,
        study_instance_uid=study_instance_uid,
    )


def _locked(session: Session, ids: Iterable[int], states: Sequence[str]) -> Sequence[tuple[Job, Delivery]]:
    """Lock jobs, then their deliveries in one of these states, both in order."""
    wanted = sorted(ids)
    job_ids = select(Delivery.job_id).where(Delivery.id.in_(wanted))
    jobs = {
        job.id: job
        for job in session.scalars(select(Job).where(Job.id.in_(job_ids)).order_by(Job.id).with_for_update())
    }
    rows = session.scalars(
        select(Delivery)
        .where(Delivery.id.in_(wanted), Delivery.state.in_(states))
        .order_by(Delivery.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    return [(jobs[one.job_id], one) for one in rows]


def _apply(
    session: Session,
    job: Job,
    delivery: Delivery,
    said: CommitmentAnswer,
    rule: CommitmentRule,
    now: datetime,
    chance: Random,
    actor: str,
) -> None:
    word, why = said.word, said.why
    undecided = word in (CommitmentResult.LATER, CommitmentResult.SILENT)
    if undecided and delivery.state == DeliveryState.UNCOMMITTED.value:
        return
    if word is CommitmentResult.LATER and delivery.commit_attempts < rule.attempts:
        _ask_later(delivery, now, why, rule.policy.long_wait_s(delivery.commit_attempts, chance.random()))
        return
    if word is CommitmentResult.COMMITTED:
        _stop(delivery, DeliveryState.COMMITTED, now, why)
        delivery.committed_at = now
    elif undecided:
        _stop(delivery, DeliveryState.UNCOMMITTED, now, why)
    elif word is CommitmentResult.REFUSED or delivery.losses >= rule.resends:
        _stop(delivery, DeliveryState.DEAD, now, why)
        _reopen(session, job, delivery, now, actor)
    elif job.state == JobState.CANCELED.value or is_withdrawn(session, job.id):  # not to be sent again
        _stop(delivery, DeliveryState.DEAD, now, why)
    else:
        _send_again(delivery, now, why, rule, rule.policy.long_wait_s(delivery.losses + 1, chance.random()))
        _reopen(session, job, delivery, now, actor)
    _note(session, job, delivery, now, actor)


def _stop(delivery: Delivery, state: DeliveryState, now: datetime, why: Failure | None) -> None:
    deliveries.set_state(delivery, state, now, why)
    delivery.commit_at = None


def _ask_later(delivery: Delivery, now: datetime, why: Failure | None, wait_s: float) -> None:
    delivery.commitment_uid, delivery.commit_at = None, now + timedelta(seconds=wait_s)
    delivery.code, delivery.reason = (why.code, why.reason) if why else (None, None)
    delivery.updated_at = now


def _send_again(
    delivery: Delivery, now: datetime, why: Failure | None, rule: CommitmentRule, wait_s: float
) -> None:
    deliveries.set_state(delivery, DeliveryState.PENDING, now, why)
    delivery.losses += 1
    delivery.attempts = delivery.commit_attempts = 0
    delivery.commitment_uid = delivery.commit_at = delivery.stored_at = None
    delivery.run_after = now + timedelta(seconds=wait_s)
    delivery.give_up_at = now + timedelta(seconds=rule.give_up_after_s)


def _reopen(session: Session, job: Job, delivery: Delivery, now: datetime, actor: str) -> None:
    """Reopen a delivered job; if a delivery is DEAD, the job ends again."""
    if job.state == JobState.DELIVERED.value:
        move(
            session,
            job,
            JobState.DELIVERING,
            now=now,
            code=delivery.code,
            reason=delivery.reason,
            actor=actor,
        )
    deliveries.settle(session, job, now, actor)


def _note(session: Session, job: Job, delivery: Delivery, now: datetime, actor: str) -> None:
    """Record the destination's answer in the audit."""
    record(
        session,
        Event(
            action=Action.COMMITMENT,
            actor=actor,
            succeeded=delivery.state == DeliveryState.COMMITTED.value,
            study_id=job.study_id,
            details={
                "destination": delivery.destination,
                "document": delivery.document_id,
                "code": delivery.code,
                "count": 1,
            },
        ),
        at=now,
    )

"""The queue's rules, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import func, select, update

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Delivery, Draft, Job, JobEvent, Study
from agent.foundation.errors import InvalidTransition, LeaseLost
from agent.foundation.failure import Failure, RetryPolicy
from agent.queue import deliveries, jobs, operator
from agent.queue.states import move
from tests.support.operator_context import operator_context_of
from tests.support.queue_processes import expire
from tests.support.queue_rows import drafted, enter

pytestmark = pytest.mark.integration

POLICY = RetryPolicy(maximum_attempts=3, first_s=5.0, longest_s=900.0)
AGAIN = Failure(code="oops", reason="it did not work", retryable=True)
NEVER = Failure(code="no", reason="it cannot work", retryable=False)


def add(database: Database, number: int, *, priority: int = 50, state: JobState = JobState.QUEUED) -> int:
    """A study with one job in a state; return the job's id."""
    with database.transaction() as session:
        return enter(session, f"1.2.{number}", priority=priority, state=state).id


def job_of(database: Database, job_id: int) -> Job:
    """The current row of a job."""
    with database.transaction() as session:
        return session.get_one(Job, job_id)


def shift(database: Database, **values: object) -> None:
    """Overwrite columns of every job."""
    with database.transaction() as session:
        session.execute(update(Job).values(**values))


def test_enqueue_twice_is_one_job(both_databases: Database) -> None:
    """The idempotency key turns a second enqueue into a no-op, and the transaction continues."""
    add(both_databases, 1, state=JobState.RECEIVING)
    with both_databases.transaction() as session:
        study = session.scalars(select(Study)).one()
        now = database_now(session)
        assert jobs.enqueue(session, study, now=now, revision=1) is None
        assert jobs.enqueue(session, study, now=now, revision=2) is not None
    with both_databases.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 2


def test_claim_leases_urgent_then_oldest(both_databases: Database) -> None:
    """Priority comes first, then age; a claim has a token and an owner, and counts as an attempt."""
    first, second, stat = (add(both_databases, n, priority=p) for n, p in ((1, 50), (2, 50), (3, 0)))
    claims = jobs.claim(both_databases, "w", 60, 2)
    assert [claim.job_id for claim in claims] == [stat, first]
    job = job_of(both_databases, stat)
    assert (job.state, job.lease_owner, job.attempts) == ("GENERATING", "w", 1)
    assert job.lease_token == claims[0].token
    assert [claim.job_id for claim in jobs.claim(both_databases, "w", 60, 9)] == [second]
    assert jobs.claim(both_databases, "w", 60, 9) == []


def test_claim_leaves_what_is_not_due(both_databases: Database) -> None:
    """A job waits until its run_after."""
    add(both_databases, 1)
    with both_databases.transaction() as session:
        session.execute(update(Job).values(run_after=database_now(session) + timedelta(hours=1)))
    assert jobs.claim(both_databases, "w", 60, 9) == []


def test_heartbeat_prolongs_and_reports_what_is_lost(both_databases: Database) -> None:
    """A lease that another owner has taken is reported as lost, and stays with that owner."""
    add(both_databases, 1)
    add(both_databases, 2)
    mine = jobs.claim(both_databases, "w1", 1, 2)
    expire(both_databases)
    assert jobs.reclaim_expired(both_databases, POLICY, chance=Random(1)) == 2
    with both_databases.transaction() as session:
        session.execute(update(Job).values(run_after=Job.created_at))
    other = jobs.claim(both_databases, "w2", 60, 1)
    assert jobs.heartbeat(both_databases, mine, 60) == {claim.job_id for claim in mine}
    assert jobs.heartbeat(both_databases, other, 120) == frozenset()
    with both_databases.transaction() as session:
        left = session.get_one(Job, other[0].job_id).lease_until - database_now(session)  # type: ignore[operator]
    assert 100 < left.total_seconds() <= 120


def test_finish_with_a_stale_token_changes_nothing(both_databases: Database) -> None:
    """Fencing: a worker that lost its lease cannot finish, even if it is the first to try."""
    add(both_databases, 1)
    (stale,) = jobs.claim(both_databases, "w1", 60, 1)
    expire(both_databases)
    jobs.reclaim_expired(both_databases, POLICY, chance=Random(1))
    shift(both_databases, run_after=Job.created_at)
    (fresh,) = jobs.claim(both_databases, "w2", 60, 1)
    with pytest.raises(LeaseLost), both_databases.transaction() as session:
        jobs.finish(session, stale, now=database_now(session))
    with pytest.raises(LeaseLost):
        jobs.fail(both_databases, stale, NEVER, POLICY, chance=Random(1))
    assert job_of(both_databases, fresh.job_id).lease_token == fresh.token
    with both_databases.transaction() as session:
        jobs.finish(session, fresh, now=database_now(session), actor="w2")
    assert job_of(both_databases, fresh.job_id).state == "DRAFTED"


def test_finish_twice_is_refused(both_databases: Database) -> None:
    """A claim can be finished only once."""
    add(both_databases, 1)
    (claim,) = jobs.claim(both_databases, "w", 60, 1)
    with both_databases.transaction() as session:
        jobs.finish(session, claim, now=database_now(session))
    with pytest.raises(LeaseLost), both_databases.transaction() as session:
        jobs.finish(session, claim, now=database_now(session))


def test_fail_for_good_is_failed(both_databases: Database) -> None:
    """An error that a retry cannot remedy makes the job FAILED at the first attempt, with code and reason."""
    add(both_databases, 1)
    (claim,) = jobs.claim(both_databases, "w", 60, 1)
    assert jobs.fail(both_databases, claim, NEVER, POLICY, chance=Random(1)) is JobState.FAILED
    job = job_of(both_databases, claim.job_id)
    assert (job.state, job.code, job.reason, job.lease_token) == ("FAILED", "no", "it cannot work", None)


def test_fail_retryable_waits_then_dies(both_databases: Database) -> None:
    """Each retryable failure queues the job again for longer; at the last attempt the job is DEAD."""
    job_id = add(both_databases, 1)
    waits = []
    for expected in (JobState.QUEUED, JobState.QUEUED, JobState.DEAD):
        shift(both_databases, run_after=Job.created_at)
        (claim,) = jobs.claim(both_databases, "w", 60, 1)
        assert jobs.fail(both_databases, claim, AGAIN, POLICY, chance=Random(1)) is expected
        job = job_of(both_databases, job_id)
        waits.append((job.run_after - job.updated_at).total_seconds())
    assert waits[:2] == pytest.approx([Random(1).random() * ceiling_s for ceiling_s in (5.0, 10.0)], abs=1e-3)
    assert (job.state, job.attempts, job.code) == ("DEAD", 3, "oops")


def test_poison_study_that_kills_its_workers_dies(both_databases: Database) -> None:
    """An expired lease counts as an attempt, although no worker was left to report it."""
    job_id = add(both_databases, 1)
    for _ in range(3):
        shift(both_databases, run_after=Job.created_at)
        assert len(jobs.claim(both_databases, "doomed", 60, 1)) == 1
        expire(both_databases)
        # The next claim takes the expired lease back before it looks for work.
        assert jobs.claim(both_databases, "w", 60, 1, policy=POLICY) == []
    job = job_of(both_databases, job_id)
    assert (job.state, job.code, job.attempts) == ("DEAD", "lease-expired", 3)


def test_reclaim_leaves_living_leases(both_databases: Database) -> None:
    """Only expired leases are taken back."""
    add(both_databases, 1)
    jobs.claim(both_databases, "w", 60, 1)
    assert jobs.reclaim_expired(both_databases, POLICY, chance=Random(1)) == 0


def test_release_gives_back_without_an_attempt(both_databases: Database) -> None:
    """A worker that shuts down cleanly costs the study no attempt."""
    job_id = add(both_databases, 1)
    claims = jobs.claim(both_databases, "w", 60, 1)
    assert jobs.release(both_databases, claims, actor="w") == 1
    assert jobs.release(both_databases, claims, actor="w") == 0
    assert (job_of(both_databases, job_id).state, job_of(both_databases, job_id).attempts) == ("QUEUED", 0)


def test_every_step_is_in_the_history(both_databases: Database) -> None:
    """The events are the whole history of a job, with actor and reason code."""
    add(both_databases, 1)
    (claim,) = jobs.claim(both_databases, "w", 60, 1)
    jobs.fail(both_databases, claim, NEVER, POLICY, chance=Random(1), actor="w")
    with both_databases.reading() as session:
        events = session.execute(
            select(JobEvent.from_state, JobEvent.to_state, JobEvent.code, JobEvent.actor).order_by(
                JobEvent.id
            )
        ).all()
    assert [tuple(event) for event in events] == [
        (None, "RECEIVING", None, ""),
        ("RECEIVING", "QUEUED", None, ""),
        ("QUEUED", "GENERATING", None, "w"),
        ("GENERATING", "FAILED", "no", "w"),
    ]


def test_move_refuses_an_impossible_step(both_databases: Database) -> None:
    """A queued job cannot become DELIVERED directly, and the refusal writes nothing."""
    job_id = add(both_databases, 1)
    with pytest.raises(InvalidTransition), both_databases.transaction() as session:
        move(session, session.get_one(Job, job_id), JobState.DELIVERED, now=database_now(session))
    assert job_of(both_databases, job_id).state == "QUEUED"


def test_delivery_roll_up_needs_every_destination(both_databases: Database) -> None:
    """The job is DELIVERING after the first destination and DELIVERED after the last."""
    job_id = drafted(both_databases, 1, ("a", "b"))
    (first,) = deliveries.claim(both_databases, "d", "a", 60, 9)
    assert first.content == b"bytes"
    assert job_of(both_databases, job_id).state == "DELIVERING"
    deliveries.stored(both_databases, first)
    assert job_of(both_databases, job_id).state == "DELIVERING"
    (second,) = deliveries.claim(both_databases, "d", "b", 60, 9)
    deliveries.stored(both_databases, second)
    assert job_of(both_databases, job_id).state == "DELIVERED"


def test_delivery_to_the_last_destination_measures_the_wait(both_databases: Database) -> None:
    """The time from the last image until every destination has the draft; unknown before that."""
    drafted(both_databases, 1, ("a", "b"))
    for name, known in (("a", False), ("b", True)):
        (claim,) = deliveries.claim(both_databases, "d", name, 60, 9)
        deliveries.stored(both_databases, claim)
        with both_databases.reading() as session:
            waited_s = session.scalars(select(Draft.delivered_s)).one()
        assert (waited_s is not None) == known
    assert waited_s is not None
    assert 7.0 <= waited_s < 60.0


def test_delivery_finishes_are_fenced(both_databases: Database) -> None:
    """A claim that has ended cannot end a second time."""
    drafted(both_databases, 1)
    (claim,) = deliveries.claim(both_databases, "d", "a", 60, 9)
    deliveries.stored(both_databases, claim)
    with pytest.raises(LeaseLost):
        deliveries.stored(both_databases, claim)
    with pytest.raises(LeaseLost):
        deliveries.fail(both_databases, claim, AGAIN, POLICY, chance=Random(1))


def test_delivery_fails_until_the_time_to_give_up(both_databases: Database) -> None:
    """A delivery whose next retry would come too late is DEAD, and so is its job."""
    job_id = drafted(both_databases, 1)
    (claim,) = deliveries.claim(both_databases, "d", "a", 60, 9)
    assert deliveries.fail(both_databases, claim, AGAIN, POLICY, chance=Random(1)) == "PENDING"
    with both_databases.transaction() as session:
        session.execute(
            update(Delivery).values(run_after=Delivery.created_at, give_up_at=Delivery.created_at)
        )
    (claim,) = deliveries.claim(both_databases, "d", "a", 60, 9)
    assert deliveries.fail(both_databases, claim, AGAIN, POLICY, chance=Random(1)) == "DEAD"
    assert (job_of(both_databases, job_id).state, job_of(both_databases, job_id).code) == ("DEAD", "gave-up")


def test_delivery_postponed_costs_no_attempt(both_databases: Database) -> None:
    """A postponed delivery counts no attempt."""
    drafted(both_databases, 1)
    claims = deliveries.claim(both_databases, "d", "a", 60, 9)
    deliveries.postpone(both_databases, claims, 0.0, AGAIN)
    deliveries.postpone(both_databases, claims, 0.0, AGAIN)
    with both_databases.reading() as session:
        assert session.execute(select(Delivery.state, Delivery.attempts)).one() == ("PENDING", 0)


def test_delivery_heartbeat_and_reclaim(both_databases: Database) -> None:
    """A live lease is renewed; an expired one is taken back, and its attempt counts."""
    drafted(both_databases, 1)
    claims = deliveries.claim(both_databases, "d", "a", 60, 9)
    assert deliveries.heartbeat(both_databases, claims, 60) == frozenset()
    assert deliveries.reclaim_expired(both_databases, POLICY, chance=Random(1)) == 0
    with both_databases.transaction() as session:
        session.execute(update(Delivery).values(lease_until=Delivery.created_at))
    assert deliveries.reclaim_expired(both_databases, POLICY, chance=Random(1)) == 1
    assert deliveries.heartbeat(both_databases, claims, 60) == {claims[0].delivery_id}
    with both_databases.reading() as session:
        assert session.execute(select(Delivery.state, Delivery.attempts)).one() == ("PENDING", 1)


def test_operator_retry_revives_dead_deliveries(both_databases: Database) -> None:
    """A job with a draft is not drafted again; its documents are sent again."""
    job_id = drafted(both_databases, 1)
    (claim,) = deliveries.claim(both_databases, "d", "a", 60, 9)
    deliveries.fail(both_databases, claim, NEVER, POLICY, chance=Random(1))
    assert operator.retry(operator_context_of(both_databases), job_id, actor="admin") is JobState.DELIVERING
    (again,) = deliveries.claim(both_databases, "d", "a", 60, 9)
    assert (again.attempts, again.content) == (1, b"bytes")


@pytest.mark.parametrize(
    "act",
    [
        lambda database, job_id: operator.retry(operator_context_of(database), job_id, actor="a"),
        lambda database, job_id: operator.cancel(database, job_id + 1, reason="r", actor="a"),
        lambda database, job_id: operator.prioritise(database, job_id + 1, 0),
    ],
)
def test_operator_refuses_what_makes_no_sense(
    both_databases: Database, act: Callable[[Database, int], object]
) -> None:
    """Retrying an unfinished job or changing a missing one is refused."""
    job_id = add(both_databases, 1)
    with pytest.raises(InvalidTransition):
        act(both_databases, job_id)

"""What would wait because the clock was set back is brought forward."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import DeliveryState, JobState
from agent.database.tables import Delivery, Job, PriorSearch
from agent.foundation.settings.archive import PriorSettings
from agent.foundation.settings.tree import Settings, StudySettings
from agent.operations.retention.clock_steps import undo_clock_steps
from agent.queue.forward_steps import ForwardSteps
from tests.unit.agent.rows import add_draft, add_job, add_study

SETTINGS = Settings(studies=StudySettings(quiet_time_s=60, force_after_s=600))


@pytest.mark.parametrize(
    ("state", "column", "longest_s"),
    [
        (JobState.RECEIVING, "due_at", 60),
        (JobState.RECEIVING, "force_at", 600),
        (JobState.QUEUED, "run_after", 900),
        (JobState.GENERATING, "lease_until", 60),
    ],
)
def test_undo_brings_a_job_forward_to_its_longest_wait(
    database: Database, state: JobState, column: str, longest_s: int
) -> None:
    """After a step of an hour the job waits once more for as long as the setting says, and no longer."""
    with database.transaction() as session:
        now = database_now(session)
        waits = {"run_after": now} | {column: now + timedelta(hours=1)}
        job = add_job(session, add_study(session, "1.2.3", at=now), state.value, at=now)
        for name, until in waits.items():
            setattr(job, name, until)
        job_id = job.id
    assert undo_clock_steps(database, SETTINGS) == 1
    assert undo_clock_steps(database, SETTINGS) == 0
    with database.reading() as session:
        until = getattr(session.get_one(Job, job_id), column)
    assert until - now < timedelta(seconds=longest_s + 30)


def test_undo_leaves_ordinary_waits_alone(database: Database) -> None:
    """A study within its quiet time is not changed."""
    with database.transaction() as session:
        now = database_now(session)
        due = now + timedelta(seconds=55)
        study = add_study(session, "1.2.3", at=now)
        job_id = add_job(session, study, JobState.RECEIVING.value, at=now, due_at=due).id
    assert undo_clock_steps(database, SETTINGS) == 0
    with database.reading() as session:
        assert session.get_one(Job, job_id).due_at == due


@pytest.mark.parametrize(
    ("state", "column", "longest_s"),
    [
        (DeliveryState.PENDING, "run_after", SETTINGS.delivery.longest_retry_s),
        (DeliveryState.SENDING, "lease_until", SETTINGS.delivery.lease_s),
        (DeliveryState.PENDING, "give_up_at", SETTINGS.delivery.give_up_after_s),
        (DeliveryState.SENDING, "give_up_at", SETTINGS.delivery.give_up_after_s),
        (DeliveryState.STORED, "commit_at", SETTINGS.delivery.longest_retry_s),
    ],
)
def test_undo_brings_a_delivery_forward_to_its_longest_wait(
    database: Database, state: DeliveryState, column: str, longest_s: float
) -> None:
    """Retries, leases, the limit of all attempts and the next request for commitment are brought forward."""
    delivery_id = add_delivery(database, state, **{column: timedelta(days=400)})
    assert undo_clock_steps(database, SETTINGS) == 1
    assert undo_clock_steps(database, SETTINGS) == 0
    with database.reading() as session:
        until = getattr(session.get_one(Delivery, delivery_id), column)
        assert until - database_now(session) < timedelta(seconds=longest_s + 30)


@pytest.mark.parametrize(("budget_s", "stat_budget_s"), [(40, 10), (10, 40)])
def test_undo_ends_a_search_for_priors_in_time(database: Database, budget_s: int, stat_budget_s: int) -> None:
    """A job never waits longer for earlier studies than the longer of the two time budgets."""
    priors = PriorSettings(time_budget_s=budget_s, stat_time_budget_s=stat_budget_s)
    settings = Settings(studies=SETTINGS.studies, priors=priors)
    with database.transaction() as session:
        now = database_now(session)
        job = add_job(session, add_study(session, "1.2.3", at=now), JobState.QUEUED.value, at=now)
        session.add(PriorSearch(job_id=job.id, deadline=now + timedelta(hours=1)))
        job_id = job.id
    assert undo_clock_steps(database, settings) == 1
    assert undo_clock_steps(database, settings) == 0
    with database.reading() as session:
        deadline, later = session.get_one(PriorSearch, job_id).deadline, database_now(session)
    assert now + timedelta(seconds=40) <= deadline <= later + timedelta(seconds=40)


def test_step_forward_moves_the_limit_of_deliveries(database: Database) -> None:
    """The database's clock gains an hour on the machine's; only this limit is changed."""
    ticks = [4000.0]
    delivery_id = add_delivery(database, DeliveryState.PENDING, give_up_at=timedelta(minutes=10))
    stored_id = add_delivery(database, DeliveryState.STORED, give_up_at=timedelta(minutes=10), uid="1.2.4")
    steps = ForwardSteps(database, 86_400, lambda: ticks[0])
    assert steps.follow() == 0
    ticks[0] -= 3600  # the same as if the clock had moved forward by an hour
    assert steps.follow() == 1
    ticks[0] += 1
    assert steps.follow() == 0
    with database.reading() as session:
        now = database_now(session)
        left = session.get_one(Delivery, delivery_id).give_up_at - now
        assert timedelta(minutes=65) < left <= timedelta(minutes=70)
        assert session.get_one(Delivery, stored_id).give_up_at - now <= timedelta(minutes=10)


def test_step_forward_that_two_processes_notice_postpones_no_further_than_the_setting(
    database: Database,
) -> None:
    """A limit is never later than that of a document written now."""
    ticks = [4000.0]
    delivery_id = add_delivery(database, DeliveryState.PENDING, give_up_at=timedelta(minutes=10))
    both = [ForwardSteps(database, 3600, lambda: ticks[0]) for _ in range(2)]
    assert [one.follow() for one in both] == [0, 0]
    ticks[0] -= 3000
    assert [one.follow() for one in both] == [1, 1]
    with database.reading() as session:
        left = session.get_one(Delivery, delivery_id).give_up_at - database_now(session)
    assert timedelta(minutes=59) < left <= timedelta(minutes=60)


def add_delivery(database: Database, state: DeliveryState, *, uid: str = "1.2.3", **ahead: timedelta) -> int:
    """Add a delivery in a state, with some of its times this far ahead; return its identifier."""
    with database.transaction() as session:
        now = database_now(session)
        job = add_job(session, add_study(session, uid, at=now), JobState.DELIVERING.value, at=now)
        add_draft(session, job, at=now, stored_after_s=None)
        session.flush()
        delivery = session.scalars(select(Delivery).where(Delivery.job_id == job.id)).one()
        delivery.state, delivery.run_after = state.value, now
        delivery.give_up_at = now + timedelta(minutes=10)
        for name, until in ahead.items():
            setattr(delivery, name, now + until)
        return delivery.id

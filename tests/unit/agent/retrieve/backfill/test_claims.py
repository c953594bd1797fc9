"""Claims of queries and studies: one process each, within the budget, counted in the rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from agent.database.backfill import BackfillSlice, BackfillStudy, PullState, SliceState
from agent.database.session import Database, database_now
from agent.database.tables import Job
from agent.foundation.errors import InvalidTransition, LeaseLost
from agent.foundation.settings.backfill import BackfillSettings, WindowSettings
from agent.retrieve.backfill.claims import (
    Hold,
    PullClaim,
    SliceClaim,
    check_step,
    claim_slice,
    claim_study,
    dates_of,
    end_study,
    row_of,
)
from agent.retrieve.backfill.planning import go, make_plan, stop
from agent.retrieve.backfill.progress import read_progress
from agent.retrieve.backfill.slices import DateSlice
from tests.unit.agent.rows import add_job, add_study

FAST = BackfillSettings(studies_per_minute=60_000, queries_per_minute=60_000, in_flight=3)
DAY = date(2020, 5, 1)


def found(database: Database, count: int) -> datetime:
    """Plan one day, and enter this many studies as found; return the database's time."""
    make_plan(database, BackfillSettings(modalities=("CR",)), DAY, DAY)
    with database.transaction() as session:
        now = database_now(session)
        row = session.scalars(select(BackfillSlice)).one()
        for number in range(count):
            session.add(
                BackfillStudy(
                    study_instance_uid=f"1.2.{number}",
                    slice_id=row.id,
                    state="FOUND",
                    run_after=now,
                    updated_at=now,
                )
            )
        return now


def why(outcome: Hold | PullClaim | SliceClaim) -> str:
    """Return why nothing was claimed; empty where something was."""
    return outcome.why if isinstance(outcome, Hold) else ""


def test_studies_are_paced_evenly_whoever_asks(database: Database) -> None:
    """At six a minute the next study is due ten seconds later, also for a new process."""
    settings = BackfillSettings(studies_per_minute=6, in_flight=9)
    now = found(database, 3) + timedelta(seconds=1)
    assert why(claim_study(database, settings, now=now)) == ""
    held = claim_study(database, settings, now=now + timedelta(seconds=4))
    assert isinstance(held, Hold)
    assert (held.why, round(held.seconds)) == ("budget", 6)
    assert why(claim_study(database, settings, now=now + timedelta(seconds=10))) == ""


def test_no_more_are_in_flight_than_allowed(database: Database) -> None:
    """The third study waits until one of two has ended."""
    settings = FAST.model_copy(update={"in_flight": 2})
    now = found(database, 3)
    first, second, third = (
        claim_study(database, settings, now=now + timedelta(seconds=n)) for n in (1, 2, 3)
    )
    assert [why(one) for one in (first, second, third)] == ["", "", "full"]
    assert isinstance(first, PullClaim)
    with database.transaction() as session:
        end_study(session, first, PullState.PULLED)
    assert why(claim_study(database, settings, now=now + timedelta(seconds=4))) == ""


def test_nothing_is_retrieved_while_the_backlog_is_full(database: Database) -> None:
    """Jobs of the lane that have no draft yet count; those of other lanes do not."""
    settings = FAST.model_copy(update={"backlog": 2})
    now = found(database, 1)
    with database.transaction() as session:
        for number, lane in enumerate(("backfill", "routine", "backfill")):
            state = "GENERATING" if lane == "routine" else "QUEUED"
            job = add_job(session, add_study(session, f"9.{number}", at=now), state, at=now)
            job.lane = lane
    assert why(claim_study(database, settings, now=now + timedelta(seconds=1))) == "full"
    with database.transaction() as session:
        session.scalars(select(Job).where(Job.lane == "backfill")).first().state = "DRAFTED"  # type: ignore[union-attr]
    assert why(claim_study(database, settings, now=now + timedelta(seconds=2))) == ""


def test_parts_of_studies_do_not_keep_the_rest_from_being_retrieved(database: Database) -> None:
    """They wait for their next attempt as jobs of the lane; as backlog they would block themselves."""
    settings = FAST.model_copy(update={"backlog": 2})
    now = found(database, 2) + timedelta(seconds=1)
    with database.transaction() as session:
        for row in session.scalars(select(BackfillStudy)):
            row.attempts = 1
            study = add_study(session, row.study_instance_uid, at=now)
            add_job(session, study, "RECEIVING", at=now, lane="backfill")
    assert why(claim_study(database, settings, now=now)) == ""


def test_nothing_is_asked_outside_the_window_or_after_a_stop(database: Database) -> None:
    """The window is closed by the clock, and a person's stop holds until a person resumes the backfill."""
    now = found(database, 1) + timedelta(seconds=1)
    closed = FAST.model_copy(update={"window": WindowSettings(opens="03:00", closes="03:00")})
    assert (why(claim_study(database, closed, now=now)), why(claim_slice(database, closed, now=now))) == (
        "closed",
        "closed",
    )
    stop(database)
    assert (why(claim_study(database, FAST, now=now)), why(claim_slice(database, FAST, now=now))) == (
        "stopped",
        "stopped",
    )
    go(database)
    assert (why(claim_study(database, FAST, now=now)), why(claim_slice(database, FAST, now=now))) == ("", "")


@pytest.mark.parametrize(
    ("lane", "state", "due_in_s", "expected"),
    [
        ("stat", "QUEUED", 0, "others"),
        ("routine", "QUEUED", 0, "others"),
        ("routine", "QUEUED", 60, ""),
        ("routine", "GENERATING", 0, ""),
        ("stat", "RECEIVING", 0, ""),
        ("shadow", "QUEUED", 0, ""),
        ("backfill", "QUEUED", 0, ""),
    ],
)
def test_nothing_is_asked_while_urgent_or_routine_jobs_wait_for_a_worker(
    database: Database, lane: str, state: str, due_in_s: float, expected: str
) -> None:
    """Only a due job that no worker has taken counts."""
    now = found(database, 1) + timedelta(seconds=1)
    with database.transaction() as session:
        add_job(
            session, add_study(session, "9.1", at=now), state, at=now + timedelta(seconds=due_in_s), lane=lane
        )
    assert why(claim_study(database, FAST, now=now)) == expected
    assert why(claim_slice(database, FAST, now=now)) == expected


def test_claim_of_a_killed_process_is_made_again_and_the_old_one_is_refused(database: Database) -> None:
    """The lease expires, and its former holder can no longer write."""
    now = found(database, 1) + timedelta(seconds=1)
    first = claim_study(database, FAST, now=now)
    assert why(claim_study(database, FAST, now=now + timedelta(seconds=300))) == "nothing"
    second = claim_study(database, FAST, now=now + timedelta(seconds=361))
    assert isinstance(first, PullClaim)
    assert isinstance(second, PullClaim)
    assert (second.study_instance_uid, second.attempts) == (first.study_instance_uid, 2)
    with pytest.raises(LeaseLost), database.transaction() as session:
        end_study(session, first, PullState.PULLED)


@pytest.mark.parametrize(
    ("state", "to"),
    [("PULLED", PullState.FOUND), ("SKIPPED", PullState.PULLING), ("DIVIDED", SliceState.OPEN)],
)
def test_state_has_no_step_back(state: str, to: PullState | SliceState) -> None:
    """A retrieved study is never retrieved again."""
    with pytest.raises(InvalidTransition):
        check_step(state, to)


def test_plan_adds_only_days_that_are_not_planned(database: Database) -> None:
    """A longer range adds only the missing days; `again` reopens those that had ended."""
    settings = BackfillSettings(modalities=("CR", "DX"), slice_days=10)
    assert len(make_plan(database, settings, date(2020, 1, 1), date(2020, 1, 10)).new) == 2
    longer = make_plan(database, settings, date(2020, 1, 1), date(2020, 1, 15)).new
    assert [(one.since, one.until) for one in longer] == [(date(2020, 1, 11), date(2020, 1, 15))] * 2
    with database.transaction() as session:
        for row in session.scalars(select(BackfillSlice)):
            row.state = "DONE"
    again = make_plan(database, settings, date(2020, 1, 1), date(2020, 1, 10), again=True)
    assert (again.new, again.opened_slices) == ((), 2)


def test_drop_gives_up_what_is_open(database: Database) -> None:
    """Nothing of the plan is left to do, and a later plan may include it again."""
    found(database, 2)
    assert stop(database, drop=True) == 3
    progress = read_progress(database, FAST)
    assert (progress.stopped, progress.open_slices, progress.open_studies) == (True, 0, 0)
    make_plan(database, FAST, DAY, DAY, again=True)
    assert read_progress(database, FAST).open_studies == 2


def test_progress_states_the_time_that_is_left(database: Database) -> None:
    """600 studies at 10 a minute take an hour, and twice that per day in a window of 12 hours."""
    now = found(database, 600)
    settings = BackfillSettings(studies_per_minute=10)
    assert read_progress(database, settings, now=now).hours_left is None
    with database.transaction() as session:
        session.scalars(select(BackfillSlice)).one().state = "DONE"
    assert read_progress(database, settings, now=now).hours_left == 1.0
    half = settings.model_copy(
        update={"window": WindowSettings(opens="08:00", closes="20:00", time_zone="UTC")}
    )
    assert read_progress(database, half, now=now).hours_left == 2.0


@pytest.mark.parametrize(("first", "last"), [(0, 1439), (0, 719), (720, 1439), (61, 61)])
def test_rows_hold_their_query(first: int, last: int) -> None:
    """A query that is written and read again is unchanged."""
    one = DateSlice(since=DAY, until=DAY, modality="CR", first_minute=first, last_minute=last)
    assert dates_of(row_of(one, datetime.now().astimezone())) == one

"""Several worker processes on one queue finish each job once, even if one dies, hangs or resumes too late."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import func, select

from agent.database.session import Database
from agent.database.states import JobState
from agent.database.tables import Job, JobEvent
from agent.queue import jobs
from tests.support.queue_processes import (
    PATIENCE_S,
    attempts,
    ended,
    expire,
    fill,
    finishes,
    lease_ends,
    line_of,
    started,
    states,
    taken_over,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


def test_processes_share_the_queue_and_finish_each_job_once(
    both_databases: Database, database_url: str
) -> None:
    """Three processes finish sixty jobs: none twice, none left, no error."""
    fill(both_databases, 60)
    with started(database_url, "a") as a, started(database_url, "b") as b, started(database_url, "c") as c:
        outputs = [ended(process) for process in (a, b, c)]
    assert sum(output.count("done") for output in outputs) == 60
    found = finishes(both_databases)
    assert (len(found), set(found.values())) == (60, {1})
    with both_databases.reading() as session:
        assert session.scalar(select(func.max(Job.attempts))) == 1


def test_process_killed_with_its_jobs_is_replaced(both_databases: Database, database_url: str) -> None:
    """After `kill -9` the leases expire, and another process finishes the same jobs once."""
    fill(both_databases, 3)
    with started(database_url, "doomed", "hold") as doomed:
        assert line_of(doomed) == "3"
        doomed.send_signal(signal.SIGKILL)
        doomed.communicate(timeout=PATIENCE_S)
    assert jobs.claim(both_databases, "w", 60, 9) == []
    expire(both_databases)
    taken_over(both_databases)
    with started(database_url, "w2") as second:
        assert ended(second) == ["3", "done", "done", "done"]
    assert set(finishes(both_databases).values()) == {1}
    assert attempts(both_databases) == [2, 2, 2]


def test_process_that_wakes_up_too_late_writes_nothing(both_databases: Database, database_url: str) -> None:
    """A worker paused until its lease has expired and another has finished has its result refused."""
    fill(both_databases, 1)
    with started(database_url, "paused", "hold") as paused:
        assert line_of(paused) == "1"
        paused.send_signal(signal.SIGSTOP)
        expire(both_databases)
        taken_over(both_databases)
        with started(database_url, "w2") as second:
            assert ended(second) == ["1", "done"]
        paused.send_signal(signal.SIGCONT)
        assert ended(paused, "go\n") == ["lost"]
    assert (states(both_databases), attempts(both_databases)) == (["DRAFTED"], [2])
    assert set(finishes(both_databases).values()) == {1}


def test_process_that_is_blocked_keeps_its_job(both_databases: Database, database_url: str) -> None:
    """A call that outlasts the lease loses nothing, as a separate thread renews the lease."""
    fill(both_databases, 1)
    with started(database_url, "blocked", "block", renew_s=0.2) as blocked:
        assert line_of(blocked) == "1"
        for _ in range(3):
            before = lease_ends(both_databases)
            wait_for(lambda before=before: lease_ends(both_databases) > before, "the lease is renewed")
        assert jobs.claim(both_databases, "thief", 60, 1) == []
        assert ended(blocked, "go\n") == ["done"]
    assert (states(both_databases), attempts(both_databases)) == (["DRAFTED"], [1])


def test_study_that_kills_its_processes_dies(both_databases: Database, database_url: str) -> None:
    """After killing three workers in turn the study is DEAD, and the next worker continues with the rest."""
    fill(both_databases, 1, priority=0)
    for number in range(3):
        with started(database_url, f"victim{number}", "poison") as victim:
            assert line_of(victim) == "1"
            victim.wait(timeout=PATIENCE_S)
        expire(both_databases)
        taken_over(both_databases)
    fill(both_databases, 2)
    with started(database_url, "survivor") as survivor:
        assert ended(survivor) == ["2", "done", "done"]
    assert states(both_databases) == ["DEAD", "DRAFTED", "DRAFTED"]
    assert attempts(both_databases) == [3, 1, 1]


def test_processes_take_urgent_jobs_first(both_databases: Database, database_url: str) -> None:
    """A STAT study is taken before every routine one, whichever process claims."""
    fill(both_databases, 8)
    fill(both_databases, 4, priority=0)
    with started(database_url, "a", limit=1) as a, started(database_url, "b", limit=1) as b:
        assert sum(ended(process).count("done") for process in (a, b)) == 12
    with both_databases.reading() as session:
        order = session.scalars(
            select(Job.priority)
            .join(JobEvent, JobEvent.job_id == Job.id)
            .where(JobEvent.to_state == JobState.GENERATING.value)
            .order_by(JobEvent.id)
        ).all()
    # When the first routine job is taken, the other process may still have to record that it took the last.
    assert list(order[:3]) == [0] * 3

"""Several workers on one queue, as processes: each job once, whoever dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from agent.db.session import Database, database_now
from agent.db.tables import Job, JobEvent, Study
from agent.queue import jobs
from agent.queue.retry import RetryPolicy
from agent.queue.states import JobState, move

pytestmark = pytest.mark.integration

# Claims and finishes until the queue is empty; `hang` claims and then waits to be killed.
PROGRAM = """
import sys, time
from agent.db.session import Database, database_now, open_engine
from agent.errors import LeaseLost
from agent.queue import jobs
url, owner, mode, lease_s = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
database = Database(open_engine(url))
while claims := jobs.claim(database, owner, lease_s, 3):
    print(len(claims), flush=True)
    if mode == "hang":
        time.sleep(600)
    for claim in claims:
        try:
            with database.transaction() as session:
                jobs.finish(session, claim, now=database_now(session), actor=owner)
        except LeaseLost:
            print("lost", flush=True)
"""


def fill(database: Database, count: int) -> None:
    """Queue `count` jobs."""
    with database.transaction() as session:
        now = database_now(session)
        for number in range(count):
            study = Study(study_instance_uid=f"1.2.{number}", first_received_at=now, last_received_at=now)
            session.add(study)
            session.flush()
            job = jobs.enqueue(session, study, now=now, revision=1)
            assert job is not None
            move(session, job, JobState.QUEUED, now=now)


def start(url: str, owner: str, mode: str = "work", lease_s: float = 60) -> subprocess.Popen[str]:
    """Start a worker process."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, owner, mode, str(lease_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finishes(database: Database) -> Counter[int]:
    """How often each job became DRAFTED."""
    with database.reading() as session:
        return Counter(
            session.scalars(select(JobEvent.job_id).where(JobEvent.to_state == JobState.DRAFTED.value))
        )


def test_processes_share_the_queue_and_finish_each_job_once(
    both_databases: Database, database_url: str
) -> None:
    """Four processes on sixty jobs: nothing twice, nothing left, no error."""
    fill(both_databases, 60)
    processes = [start(database_url, f"w{number}") for number in range(4)]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [error for _output, error in outputs] == [""] * 4
    assert sum(int(line) for output, _error in outputs for line in output.split()) == 60
    found = finishes(both_databases)
    assert (len(found), set(found.values())) == (60, {1})
    with both_databases.reading() as session:
        assert session.scalar(select(func.max(Job.attempts))) == 1


def test_process_killed_with_its_jobs_is_replaced(both_databases: Database, database_url: str) -> None:
    """`kill -9` in the middle: the leases run out, and another process finishes the same jobs once."""
    fill(both_databases, 3)
    doomed = start(database_url, "doomed", "hang", 600)
    assert doomed.stdout is not None
    assert doomed.stdout.readline() == "3\n"
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate(timeout=30)
    assert jobs.claim(both_databases, "w", 60, 9) == []
    with both_databases.transaction() as session:
        past = database_now(session) - timedelta(seconds=1)
        session.execute(update(Job).values(lease_until=past))
    assert jobs.reclaim_expired(both_databases, RetryPolicy(first_s=0.001)) == 3
    time.sleep(0.01)
    output, error = start(database_url, "w2").communicate(timeout=120)
    assert (output, error) == ("3\n", "")
    assert set(finishes(both_databases).values()) == {1}
    with both_databases.reading() as session:
        assert set(session.scalars(select(Job.attempts))) == {2}

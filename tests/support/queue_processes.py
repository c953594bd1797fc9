"""Workers as processes, and the state of their jobs in the database."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select, update

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Job, JobEvent
from agent.foundation.failure import RetryPolicy
from agent.queue import jobs
from tests.support.queue_rows import enter
from tests.support.warm_python import WarmPopen

PROGRAM = Path(__file__).with_name("queue_worker.py")
PATIENCE_S = 240
# A lease that expires only if a test intends it, and how often it is renewed.
LONG_S, RENEW_S = 600.0, 200.0


def fill(database: Database, count: int, *, priority: int = 50) -> None:
    """Queue `count` jobs."""
    with database.transaction() as session:
        for number in range(count):
            enter(session, f"1.2.{priority}.{number}", priority=priority)


@contextmanager
def started(
    url: str, owner: str, mode: str = "work", *, renew_s: float = RENEW_S, limit: int = 3
) -> Iterator[subprocess.Popen[str]]:
    """A worker process; killed at the end if it still runs."""
    command = [sys.executable, str(PROGRAM), url, owner, mode, str(LONG_S), str(limit), str(renew_s)]
    pipe = subprocess.PIPE
    process = WarmPopen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ended(process: subprocess.Popen[str], line: str = "") -> list[str]:
    """Send a line, wait for the end, and return what was printed since then."""
    output, error = process.communicate(line, timeout=PATIENCE_S)
    assert error == "", error
    return output.split()


def finishes(database: Database) -> Counter[int]:
    """How often each job became DRAFTED."""
    with database.reading() as session:
        return Counter(
            session.scalars(select(JobEvent.job_id).where(JobEvent.to_state == JobState.DRAFTED.value))
        )


def attempts(database: Database) -> list[int]:
    """The attempts of all jobs."""
    with database.reading() as session:
        return list(session.scalars(select(Job.attempts).order_by(Job.id)))


def states(database: Database) -> list[str]:
    """The states of all jobs."""
    with database.reading() as session:
        return list(session.scalars(select(Job.state).order_by(Job.id)))


def lease_ends(database: Database) -> datetime:
    """When the lease of the only job ends."""
    with database.reading() as session:
        ends = session.scalars(select(Job.lease_until)).one()
    assert ends is not None
    return ends


def expire(database: Database) -> None:
    """Let every lease expire, as by the passage of time."""
    with database.transaction() as session:
        past = database_now(session) - timedelta(seconds=1)
        session.execute(update(Job).where(Job.lease_until.is_not(None)).values(lease_until=past))


def taken_over(database: Database) -> None:
    """Reclaim the expired jobs and make them due."""
    assert jobs.reclaim_expired(database, RetryPolicy(first_s=0.0, longest_s=0.0)) > 0

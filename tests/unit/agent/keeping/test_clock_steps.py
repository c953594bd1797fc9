"""What would wait for the time by which the clock was set back is brought forward."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Job
from agent.foundation.settings.tree import Settings, StudySettings
from agent.keeping.clock_steps import undo_clock_steps
from tests.unit.agent.rows import add_job, add_study

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
    """After an hour's step it waits once more for as long as the setting says, and no longer."""
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
    """A study within its quiet time is not touched."""
    with database.transaction() as session:
        now = database_now(session)
        due = now + timedelta(seconds=55)
        study = add_study(session, "1.2.3", at=now)
        job_id = add_job(session, study, JobState.RECEIVING.value, at=now, due_at=due).id
    assert undo_clock_steps(database, SETTINGS) == 0
    with database.reading() as session:
        assert session.get_one(Job, job_id).due_at == due

"""Jobs and studies as an operator sees them."""

from __future__ import annotations

import pytest

from agent.database.session import Database
from agent.database.states import JobState
from agent.foundation.errors import NotFound
from agent.operations.history import job_history, list_jobs, study_history
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of


@pytest.fixture
def job_id(database: Database) -> int:
    """A delivered job of study 1.1, with a skipped one of study 1.2."""
    at = now_of(database)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.2", at=at), "SKIPPED", at=at)
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at, stored_after_s=1)
        return job.id


def test_list_jobs_of_one_state(database: Database, job_id: int) -> None:
    """A filter by state omits jobs in other states."""
    lines = list_jobs(database, state=JobState.DELIVERED, limit=10)
    assert [(line.job_id, line.study_instance_uid) for line in lines] == [(job_id, "1.1")]


def test_list_jobs_stops_at_the_limit(database: Database, job_id: int) -> None:
    """A long queue is shown only in part."""
    assert len(list_jobs(database, state=None, limit=1)) == 1


def test_job_history_has_steps_draft_and_deliveries(database: Database, job_id: int) -> None:
    """One answer has everything about a job."""
    found = job_history(database, job_id)
    assert [step.to_state for step in found.steps] == ["DELIVERED"]
    assert (found.text, found.model_name) == ("Findings: none.", "test model")
    assert [(one.destination, one.role, one.state) for one in found.deliveries] == [
        ("pacs", "report", "STORED")
    ]


def test_study_history_has_its_jobs(database: Database, job_id: int) -> None:
    """A study is found by its UID."""
    assert [job.job.job_id for job in study_history(database, "1.1").jobs] == [job_id]


def test_what_is_not_there_is_said_clearly(database: Database) -> None:
    """An unknown number or UID is a separate error that states what to check next."""
    with pytest.raises(NotFound, match="queue list"):
        job_history(database, 99)
    with pytest.raises(NotFound, match="destination"):
        study_history(database, "9.9")

"""The status counts what exists, and its judgement states what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent.database.session import Database
from agent.database.tables import Quarantined, Worker
from agent.foundation.disk import free_mb
from agent.foundation.settings.tree import DestinationSettings, Settings, StorageSettings
from agent.operations.health import Level, judge, worst
from agent.operations.status import percentile, read_status
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with one destination, and a disk limit below any machine's free space."""
    return Settings(
        storage=StorageSettings(path=tmp_path, min_free_mb=0),
        destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=1, ae_title="PACS"),),
    )


def add_processes(database: Database, *roles: str, silent_s: float = 0.0) -> None:
    """Add processes of these roles whose last heartbeat was some time ago."""
    seen = now_of(database) - timedelta(seconds=silent_s)
    with database.transaction() as session:
        for role in roles:
            session.add(
                Worker(id=f"{role}@here", role=role, host="h", pid=1, about={}, started_at=seen, seen_at=seen)
            )


def test_status_counts_jobs_of_every_state(database: Database, settings: Settings) -> None:
    """Each state is counted; a state without jobs has 0."""
    at = now_of(database)
    with database.transaction() as session:
        for number, state in enumerate(("QUEUED", "QUEUED", "SKIPPED")):
            add_job(session, add_study(session, f"1.{number}", at=at), state, at=at, code="some-rule")
    found = read_status(database, settings)
    assert (found.jobs["QUEUED"], found.jobs["SKIPPED"], found.jobs["DEAD"]) == (2, 1, 0)
    assert found.skipped_last_day == {"some-rule": 1}


def test_status_measures_from_the_last_image_to_the_draft_and_to_the_storing(
    database: Database, settings: Settings
) -> None:
    """The headline figure runs from the last image to the moment when the PACS has stored the draft."""
    at = now_of(database) - timedelta(minutes=1)
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at + timedelta(seconds=4), stored_after_s=2)
    hour = read_status(database, settings).last_hour
    assert (hour.drafts, hour.last_image_to_drafted_p50, hour.last_image_to_stored_p95) == (1, 4.0, 6.0)


def test_status_shows_why_jobs_stopped(database: Database, settings: Settings) -> None:
    """A failed job is listed with its code and reason."""
    at = now_of(database)
    with database.transaction() as session:
        add_job(
            session,
            add_study(session, "1.1", at=at),
            "FAILED",
            at=at,
            code="image-unreadable",
            reason="no pixels",
        )
    (trouble,) = read_status(database, settings).troubles
    assert (trouble.state, trouble.code, trouble.reason) == ("FAILED", "image-unreadable", "no pixels")


def test_status_knows_who_is_silent(database: Database, settings: Settings) -> None:
    """A process whose last heartbeat is too old is gone."""
    add_processes(database, "listener")
    add_processes(database, "worker", silent_s=300)
    alive = {process.role: process.alive for process in read_status(database, settings).processes}
    assert alive == {"listener": True, "worker": False}


def test_judge_finds_nothing_when_all_runs(database: Database, settings: Settings) -> None:
    """With all processes running and nothing waiting the level is OK."""
    add_processes(database, "listener", "worker", "deliverer")
    problems = judge(read_status(database, settings), settings)
    assert (problems, worst(problems)) == ((), Level.OK)


def test_judge_calls_a_missing_process_critical(database: Database, settings: Settings) -> None:
    """Without a worker nothing is drafted, and the text names the command that starts one."""
    add_processes(database, "listener", "deliverer")
    (problem,) = judge(read_status(database, settings), settings)
    assert (problem.level, problem.code) == (Level.CRITICAL, "no-worker")
    assert "echo-agent work" in problem.text


def test_judge_needs_no_deliverer_without_a_destination(database: Database, settings: Settings) -> None:
    """If drafts are not sent anywhere, no deliverer is needed."""
    add_processes(database, "listener", "worker")
    alone = settings.model_copy(update={"destinations": ()})
    assert judge(read_status(database, alone), alone) == ()


def test_judge_wants_housekeeping_to_run(database: Database, settings: Settings) -> None:
    """If the listener does no housekeeping, another process must, or no study is ever completed."""
    add_processes(database, "listener", "worker", "deliverer")
    listener = settings.listener.model_copy(update={"housekeeping": False})
    alone = settings.model_copy(update={"listener": listener})
    (problem,) = judge(read_status(database, alone), alone)
    assert (problem.level, problem.code) == (Level.CRITICAL, "no-housekeeping")
    add_processes(database, "housekeeping")
    assert judge(read_status(database, alone), alone) == ()


def test_judge_tells_of_documents_that_nobody_commits_to(database: Database, settings: Settings) -> None:
    """A PACS that stores documents and never commits to them is reported."""
    add_processes(database, "listener", "worker", "deliverer")
    at = now_of(database)
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at, stored_after_s=2, delivery_state="UNCOMMITTED")
    assert [one.code for one in judge(read_status(database, settings), settings)] == [
        "deliveries-uncommitted"
    ]


def test_judge_warns_of_what_waits_and_what_died(database: Database, settings: Settings) -> None:
    """An old queue, dead jobs, a PACS that accepts nothing and unreadable objects are each a warning."""
    add_processes(database, "listener", "worker", "deliverer")
    old = now_of(database) - timedelta(hours=1)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.1", at=old), "QUEUED", at=old)
        add_job(session, add_study(session, "1.2", at=old), "DEAD", at=old, code="lease-expired")
        job = add_job(session, add_study(session, "1.3", at=old), "DELIVERING", at=old)
        add_draft(session, job, at=old, stored_after_s=None, code="delivery-failed")
        session.add(Quarantined(sha256="a" * 64, code="instance-unreadable", size_bytes=1, received_at=old))
    problems = judge(read_status(database, settings), settings)
    assert {problem.code for problem in problems} == {
        "queue-old",
        "jobs-dead",
        "destination-waiting",
        "quarantine",
    }
    assert worst(problems) is Level.WARNING


def test_judge_calls_a_full_disk_critical(database: Database, settings: Settings) -> None:
    """Below the limit senders are asked to wait, which is an outage."""
    add_processes(database, "listener", "worker", "deliverer")
    full = settings.model_copy(update={"storage": StorageSettings(path=Path("/"), min_free_mb=1e12)})
    (problem,) = judge(read_status(database, full), full)
    assert (problem.level, problem.code) == (Level.CRITICAL, "storage-full")


def test_free_space_of_a_folder_that_is_not_made_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    """The first start has no instance folder yet, but its disk is known."""
    assert free_mb(tmp_path / "a" / "b") is not None


@pytest.mark.parametrize(("values", "expected"), [([], None), ([2.0], 2.0), ([1.0, 2.0, 3.0], 2.0)])
def test_percentile_of_few_values(values: list[float], expected: float | None) -> None:
    """The median of no values is unknown; the median of one value is that value."""
    assert percentile(values, 50) == expected

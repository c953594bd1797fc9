"""The metrics match the status and name no patient."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.database.session import Database
from agent.database.tables import Study, Worker
from agent.foundation.settings.tree import DestinationSettings, Settings, StorageSettings
from agent.operations.metrics import exposition
from agent.operations.status import read_status
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with one destination."""
    return Settings(
        storage=StorageSettings(path=tmp_path, min_free_mb=1),
        destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=1, ae_title="PACS"),),
    )


def samples(database: Database, settings: Settings) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the metrics as Prometheus does."""
    text = exposition(read_status(database, settings), settings).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(**labels: str) -> frozenset[tuple[str, str]]:
    """Return labels as a key."""
    return frozenset(labels.items())


def test_metrics_hold_the_headline_and_the_queue(database: Database, settings: Settings) -> None:
    """They give latency by window and percentile, jobs and documents by state, throughput, reachability."""
    at = now_of(database) - timedelta(minutes=1)
    heard = {"answers": {"pacs": {"reachable": True, "words": "answers", "at": at.isoformat()}}}
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at + timedelta(seconds=4), stored_after_s=2)
        session.add(
            Worker(
                id="d",
                role="deliverer",
                host="h",
                pid=1,
                about=heard,
                started_at=at,
                seen_at=now_of(database),
            )
        )
    found = samples(database, settings)
    assert found["echo_agent_last_image_to_stored_seconds", of(window="1h", percentile="95")] == 6.0
    assert found["echo_agent_jobs", of(state="DELIVERED")] == 1.0
    assert found["echo_agent_deliveries", of(destination="pacs", state="STORED")] == 1.0
    assert found["echo_agent_studies", of(window="1d", state="delivered")] == 1.0
    assert found["echo_agent_destination_up", of(destination="pacs")] == 1.0
    assert found["echo_agent_level", of()] == 2.0
    assert found["echo_agent_problems", of(code="no-worker", level="critical")] == 1.0


def test_metrics_leave_out_what_nobody_knows(database: Database, settings: Settings) -> None:
    """A destination that was never probed is neither up nor down."""
    names = {name for name, _ in samples(database, settings)}
    assert "echo_agent_destination_up" not in names
    assert "echo_agent_last_image_to_stored_seconds" not in names


def test_metrics_name_no_patient(database: Database, settings: Settings) -> None:
    """Neither a patient's attribute nor a study's UID is a label."""
    at = now_of(database)
    with database.transaction() as session:
        session.add(
            Study(
                study_instance_uid="1.2.999", patient_name="CANARY^PATIENT", patient_id="CANARY",
                first_received_at=at, last_received_at=at,
            )
        )  # fmt: skip
        session.flush()
        add_job(session, add_study(session, "1.2.998", at=at), "FAILED", at=at, code="c", reason="CANARY")
    text = exposition(read_status(database, settings), settings).decode()
    assert [word for word in ("CANARY", "1.2.99") if word in text] == []


ABOUTS: dict[str, dict[str, object]] = {
    "listener": {
        "associations": 2,
        "counts": {"status-0000": 3, "rejected-unknown-caller": 1},
        "hl7": {"messages": 4, "refused": 1},
    },
    "worker": {"model": "echo", "version": "1", "gpu_memory_used": 1, "gpu_memory_total": 2},
    "deliverer": {},
    "housekeeper": {},
    "web": {},
    "ups": {"workitems": 1},
}


def test_metrics_please_the_linter_of_prometheus(
    database: Database, settings: Settings, program: Callable[[str], str]
) -> None:
    """`promtool check metrics` accepts names, types and help of all metrics, with every process running."""
    at = now_of(database) - timedelta(minutes=1)
    with database.transaction() as session:
        for number, (role, about) in enumerate(ABOUTS.items()):
            row = Worker(id=f"{role}@h:{number}", role=role, host="h", pid=number, about=about)
            row.started_at, row.seen_at = at, now_of(database)
            session.add(row)
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at + timedelta(seconds=4), stored_after_s=2)
        add_job(session, add_study(session, "1.2", at=at), "SKIPPED", at=at, code='no\nchest "film"')
    assert samples(database, settings)[
        "echo_agent_hl7_events_total", of(process="listener@h:0", event="messages")
    ] == 4.0  # fmt: skip
    text = exposition(read_status(database, settings), settings)
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (done.stderr.decode(), done.stdout.decode(), done.returncode) == ("", "", 0)


def test_metrics_count_due_jobs_by_lane_and_site(database: Database, settings: Settings) -> None:
    """A job that is not due, or has started, is not in the backlog."""
    now = now_of(database)
    at = now - timedelta(seconds=30)
    with database.transaction() as session:
        for number, (lane, site, state, since) in enumerate(
            (
                ("stat", "north", "QUEUED", at),
                ("backfill", "north", "QUEUED", at),
                ("backfill", "north", "QUEUED", at),
                ("backfill", "north", "QUEUED", now + timedelta(hours=1)),
                ("routine", "", "GENERATING", at),
            )
        ):
            study = add_study(session, f"1.2.{number}", at=at)
            add_job(session, study, state, at=since, lane=lane, site=site)
    text = exposition(read_status(database, settings), settings).decode()
    assert [line for line in text.splitlines() if line.startswith("echo_agent_jobs_due{")] == [
        'echo_agent_jobs_due{lane="stat",site="north"} 1.0',
        'echo_agent_jobs_due{lane="backfill",site="north"} 2.0',
    ]
    assert 'echo_agent_jobs_due_seconds{lane="stat",site="north"} 3' in text

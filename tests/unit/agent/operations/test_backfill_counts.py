"""The backfill in the status, the metrics and the warnings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from agent.database.backfill import BackfillControl, BackfillSlice, BackfillStudy
from agent.database.session import Database
from agent.database.tables import Worker
from agent.foundation.settings.tree import ArchiveSettings, BackfillSettings, Settings, StorageSettings
from agent.operations.health import judge
from agent.operations.metrics import exposition
from agent.operations.status import read_status
from tests.unit.agent.rows import add_job, add_study, now_of

BACKFILL_CODES = {"backfill-not-running", "backfill-dead"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a service with a backfill."""
    return Settings(
        storage=StorageSettings(path=tmp_path, min_free_mb=1),
        archive=ArchiveSettings(host="127.0.0.1", port=1, ae_title="PACS"),
        backfill=BackfillSettings(enabled=True),
    )


def plan(database: Database, query: str, *studies: str) -> None:
    """Add a query and its studies in these states."""
    now = now_of(database)
    with database.transaction() as session:
        row = BackfillSlice(
            since="20200101", until="20200107", modality="CR", state=query, run_after=now, updated_at=now
        )
        session.add(row)
        session.flush()
        session.add_all(
            BackfillStudy(
                study_instance_uid=f"1.2.{number}",
                slice_id=row.id,
                state=state,
                run_after=now,
                updated_at=now,
            )
            for number, state in enumerate(studies)
        )


def codes(database: Database, settings: Settings) -> set[str]:
    """The warnings that concern the backfill."""
    return {one.code for one in judge(read_status(database, settings), settings)} & BACKFILL_CODES


def test_metrics_hold_the_states(database: Database, settings: Settings) -> None:
    """The metrics have queries and studies by state, and whether a person has stopped the backfill."""
    plan(database, "DONE", "PULLED", "PULLED", "SKIPPED")
    text = exposition(read_status(database, settings), settings).decode()
    found = {
        (sample.name, sample.labels.get("state", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "backfill" in sample.name
    }
    assert found == {
        ("echo_agent_backfill_queries", "DONE"): 1.0,
        ("echo_agent_backfill_studies", "PULLED"): 2.0,
        ("echo_agent_backfill_studies", "SKIPPED"): 1.0,
        ("echo_agent_backfill_stopped", ""): 0.0,
    }
    with database.transaction() as session:
        session.add(BackfillControl(id=1, stopped=True))
    text = exposition(read_status(database, settings), settings).decode()
    assert "\necho_agent_backfill_stopped 1.0\n" in text


def test_without_a_plan_nothing_is_said(database: Database, settings: Settings) -> None:
    """Most services have no backfill, so nothing is reported."""
    assert read_status(database, settings).backfill is None
    assert b"backfill" not in exposition(read_status(database, settings), settings)
    assert codes(database, settings) == set()


def test_plan_that_nobody_works_on_is_a_warning(database: Database, settings: Settings) -> None:
    """The warning ends when a process runs or a person stops the backfill."""
    plan(database, "OPEN")
    assert codes(database, settings) == {"backfill-not-running"}
    now = now_of(database)
    with database.transaction() as session:
        session.add(BackfillControl(id=1, stopped=True))
    assert codes(database, settings) == set()
    with database.transaction() as session:
        session.get_one(BackfillControl, 1).stopped = False
        session.add(Worker(id="b", role="backfill", host="h", pid=1, about={}, started_at=now, seen_at=now))
    assert codes(database, settings) == set()


@pytest.mark.parametrize(("query", "study"), [("DEAD", "PULLED"), ("DONE", "DEAD")])
def test_what_was_given_up_is_a_warning(
    database: Database, settings: Settings, query: str, study: str
) -> None:
    """A query or a study that is DEAD would otherwise lose drafts silently."""
    plan(database, query, study)
    assert codes(database, settings) == {"backfill-dead"}
    with database.transaction() as session:
        for row in (*session.scalars(select(BackfillSlice)), *session.scalars(select(BackfillStudy))):
            row.state = "DROPPED"
    assert codes(database, settings) == set()


@pytest.mark.parametrize(("lane", "warned"), [("routine", True), ("stat", True), ("backfill", False)])
def test_old_studies_may_wait_in_the_queue(
    database: Database, settings: Settings, lane: str, warned: bool
) -> None:
    """An old queue is a warning only if somebody waits for its drafts."""
    at = now_of(database) - timedelta(hours=2)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.1", at=at), "QUEUED", at=at).lane = lane
    found = {one.code for one in judge(read_status(database, settings), settings)}
    assert ("queue-old" in found) is warned

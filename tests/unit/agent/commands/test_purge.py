"""`echo-agent purge` says what it removes, what stays and why, and removes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import Result

from agent.database.session import Database
from agent.database.tables import AuditEvent, Instance
from agent.objects.store import InstanceStore
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of

Run = Callable[..., Result]


@pytest.fixture
def store(database: Database, tmp_path: Path, config: Path) -> InstanceStore:
    """A store with a file of a study committed 40 days ago, and a file of a study that is FAILED."""
    config.write_text(config.read_text() + "retention: {keep_days: 60}\n", encoding="utf-8")
    store = InstanceStore(tmp_path / "instances", 0)
    at = now_of(database) - timedelta(days=40)
    with database.transaction() as session:
        for number, state in ((1, "DELIVERED"), (2, "FAILED")):
            study = add_study(session, f"1.2.{number}", at=at)
            job = add_job(session, study, state, at=at)
            if state == "DELIVERED":
                add_draft(session, job, at=at, stored_after_s=1, delivery_state="COMMITTED")
            session.add(
                Instance(
                    study_id=study.id,
                    sop_instance_uid=f"1.2.{number}.1",
                    sop_class_uid="1.2.3",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    sha256=store.put((f"{number}".encode() * 1000,)).sha256,
                    size_bytes=1000,
                    received_at=at,
                )
            )
    return store


def test_dry_run_says_what_would_go_and_changes_nothing(run: Run, store: InstanceStore) -> None:
    """The totals are shown by reason."""
    done = run("purge", "--dry-run")
    assert (done.exit_code, len(list(store.files()))) == (0, 2)
    assert "stays      1 study, 1 file, 0.0 MB: not old enough yet" in done.output
    assert "FAILED or DEAD" in done.output
    asked = run("purge", "--dry-run", "--older-than", "30")
    assert "would go   1 study, 1 file, 0.0 MB: older than the retention time" in asked.output
    assert len(list(store.files())) == 2


def test_purge_removes_and_tells(run: Run, store: InstanceStore, database: Database) -> None:
    """The total removed and what stays with its reason are shown; the audit records who asked."""
    done = json.loads(run("purge", "--older-than", "30", "--json").output)
    assert done["purged"] == {"studies": 1, "files": 1, "size_bytes": 1000, "quarantined": 0}
    assert done["reasons"] == {"stopped": {"studies": 1, "files": 1, "size_mb": 0.001}}
    assert [(one["study_instance_uid"], one["goes"]) for one in done["studies"]] == [("1.2.2", False)]
    assert len(list(store.files())) == 1
    with database.reading() as session:
        (actor,) = session.scalars(select(AuditEvent.actor).where(AuditEvent.action == "purge"))
    assert actor.startswith("cli:")
    assert "removed 0 files of 0 studies" in run("purge").output


def test_long_lists_are_shortened(run: Run, store: InstanceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies to be removed are listed first; the rest is only counted."""
    monkeypatch.setattr("agent.commands.purge.SHOWN", 1)
    short = run("purge", "--dry-run", "--older-than", "30")
    assert ("1.2.1" in short.output, "1.2.2" in short.output, "… and 1 more" in short.output) == (
        True,
        False,
        True,
    )
    assert "1.2.2" in run("purge", "--dry-run", "--older-than", "30", "--all").output
    assert len(list(store.files())) == 2


def test_empty_store_is_said_to_be_empty(run: Run, database: Database) -> None:
    """An empty store is reported as such."""
    assert "no study has image files here" in run("purge", "--dry-run").output

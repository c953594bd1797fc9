"""Shared by the tests of the commands: a configuration of their own, and a job that is DEAD."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.commands.cli import app
from agent.database.session import Database
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of

Run = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with its data in the test's folder, like `database`."""
    for name in [one for one in os.environ if one.startswith("ECHO_AGENT_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"database: {{url: 'sqlite:///{tmp_path / 'agent.db'}'}}\n"
        f"storage: {{path: {tmp_path / 'instances'}, min_free_mb: 0}}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def run(config: Path) -> Run:
    """Run a command with that configuration."""

    def call(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(config)], input=given)

    return call


@pytest.fixture
def job(database: Database) -> int:
    """A job that is DEAD because the PACS refused its document."""
    at = now_of(database)
    with database.transaction() as session:
        found = add_job(session, add_study(session, "1.2.3", at=at), "DEAD", at=at, code="delivery-refused")
        add_draft(session, found, at=at, stored_after_s=None, delivery_state="DEAD")
        return found.id

"""Shared by the acceptance tests: the command line as a user types it, and a running agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from agent.commands.cli import app
from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.outcome import DemoOutcome, read_outcomes
from agent.commands.demo.pacs import EmbeddedPacs, running_pacs
from agent.commands.demo.service import (
    Service,
    StartProcess,
    kill_service,
    own_environment,
    start_service,
    stop_service,
    write_config,
)
from agent.commands.demo.service import wait_until_ready as wait_for_service
from agent.database.session import Database, open_engine
from agent.foundation.errors import ProgramNotReady
from agent.foundation.settings.tree import Settings
from agent.service.models import configured_checkpoint
from tests.support.warm_python import WarmPopen

# Long enough for a busy machine.
PATIENCE_S = 280.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if "tests/acceptance" in str(item.path):
            item.add_marker(pytest.mark.acceptance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished command, and the folder in which it ran."""

    folder: Path
    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object of the last line of standard output."""
        answer: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return answer


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The shipped demonstration checkpoint, or another one named by ECHO_TEST_CHECKPOINT."""
    named = os.environ.get("ECHO_TEST_CHECKPOINT")
    path = Path(named) if named else configured_checkpoint(Settings(), "main")
    if not (path / "config.json").is_file():
        reason = f"there is no checkpoint at {path}; `make demo-model` makes one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def run_command(
    *arguments: str, folder: Path, within_s: float = PATIENCE_S, run: Callable[..., Any] = subprocess.run
) -> Run:
    """Run `echo-agent` in a folder, as a user would."""
    done = run(
        [sys.executable, "-m", "agent", *arguments],
        cwd=folder,
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=within_s,
    )
    return Run(folder=folder, status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def command_here(*arguments: str, folder: Path) -> Run:
    """Run `echo-agent` in this process, for tests of its output that do not need a separate process.

    A new process imports everything again, which takes seconds, or ten seconds with the network.
    """
    own = {name: None for name in os.environ if name.startswith("ECHO_AGENT_")}
    done = CliRunner(env=own).invoke(app, list(arguments))
    structlog.reset_defaults()
    if isinstance(done.exception, Exception):
        raise done.exception
    return Run(folder=folder, status=done.exit_code, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="session")
def echo_agent(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Run `echo-agent` in an empty folder; `run` is `subprocess.run` or takes the same arguments."""

    def call(*arguments: str, within_s: float = PATIENCE_S, run: Callable[..., Any] = subprocess.run) -> Run:
        return run_command(*arguments, folder=tmp_path_factory.mktemp("run"), within_s=within_s, run=run)

    return call


@dataclass(slots=True, kw_only=True)
class Agent:
    """A running agent that sends to an embedded PACS, and can be killed and started again."""

    folder: Path
    config: Path
    pacs: EmbeddedPacs
    service: Service
    start_process: StartProcess

    @property
    def port(self) -> int:
        """The listener's port."""
        return self.service.settings.listener.port

    def outcomes(self, studies: list[str]) -> dict[str, DemoOutcome]:
        """Return the outcomes of these studies so far."""
        database = Database(open_engine(self.service.settings.database.url))
        try:
            return read_outcomes(database, studies)
        finally:
            database.close()

    def wait(self, studies: list[str], within_s: float = PATIENCE_S) -> dict[str, DemoOutcome]:
        """Wait until all these studies have ended, and return their outcomes."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = self.outcomes(studies)
            if len(found) == len(studies) and all(one.ended for one in found.values()):
                return found
            time.sleep(0.2)
        raise AssertionError(f"not all studies ended: {self.outcomes(studies)}")

    def kill(self) -> None:
        """Kill the whole process tree, as a power failure would."""
        kill_service(self.service)

    def start(self) -> None:
        """Start it again with the same data."""
        self.service = start_service(self.config, self.folder / "agent.log", self.start_process)
        wait_for_service(self.service)

    def command(self, *arguments: str) -> Run:
        """Run a command with this agent's configuration, in this process."""
        return command_here(*arguments, "--config", str(self.config), folder=self.folder)

    @property
    def log(self) -> str:
        """Everything that it has logged."""
        return (self.folder / "agent.log").read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def make_agent(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Callable[..., Agent]]:
    """Start agents; they are stopped after the file's tests, so that they do not slow down the next ones.

    Their processes are forked from one that has imported everything, unless a test starts them as users do.
    """
    started: list[Agent] = []
    place = tmp_path_factory.mktemp("agents")
    with running_pacs(place / "pacs") as pacs:

        def make(
            *, changes: dict[str, dict[str, Any]] | None = None, start_process: StartProcess = WarmPopen
        ) -> Agent:
            folder = place / f"agent{len(started)}"
            folder.mkdir()
            config = write_config(folder, pacs, port=free_ports(1)[0], checkpoint=checkpoint, changes=changes)
            service = start_service(config, folder / "agent.log", start_process)
            agent = Agent(
                folder=folder, config=config, pacs=pacs, service=service, start_process=start_process
            )
            started.append(agent)
            wait_for_service(service)
            return agent

        yield make
        for agent in started:
            try:
                stop_service(agent.service)
            except ProgramNotReady:  # the test killed it
                continue


@pytest.fixture(scope="module")
def agent(make_agent: Callable[..., Agent]) -> Agent:
    """A running agent, started as users start it, shared by a file's tests; each uses its own studies."""
    return make_agent(start_process=subprocess.Popen)

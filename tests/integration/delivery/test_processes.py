"""Listener and deliverer as separate processes, with a real Orthanc between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.commands.demo.orthanc import Orthanc
from agent.commands.demo.service import own_environment
from agent.database.session import Database
from tests.integration.delivery.outbox import delivery_states, outbox
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen

pytestmark = pytest.mark.integration


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, Path], None]]:
    """Start `echo-agent COMMAND`; it is stopped after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def make(command: str, config: Path) -> None:
        with (tmp_path / f"{command}.log").open("wb") as log:
            arguments = [sys.executable, "-m", "agent", command, "--config", str(config)]
            started.append(WarmPopen(arguments, stdout=log, stderr=log, env=own_environment()))

    yield make
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=60)


def test_processes_reach_commitment_together(
    database: Database,
    orthanc: Orthanc,
    letters: Callable[[int], Any],
    free_port: int,
    tmp_path: Path,
    start: Callable[[str, Path], None],
) -> None:
    """`deliver` stores and requests, Orthanc reports to `listen`: they share nothing but the database."""
    number = 6000 + free_port
    values = {
        "database": {"url": str(database.engine.url)},
        "storage": {"path": str(tmp_path / "instances"), "min_free_mb": 0},
        "listener": {"port": free_port},
        "destinations": [
            {
                "name": "orthanc",
                "host": orthanc.host,
                "port": orthanc.port,
                "ae_title": orthanc.ae_title,
                "commitment": True,
                "commitment_wait_s": 0,
            }
        ],
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    orthanc.put("/modalities/agent", {"AET": "ECHO_AGENT", "Host": "127.0.0.1", "Port": free_port})
    outbox(database, letters(number), number, "orthanc")
    start("listen", config)
    log = tmp_path / "listen.log"
    wait_for(lambda: "listening" in log.read_text())
    start("deliver", config)
    wait_for(lambda: delivery_states(database) == ["COMMITTED", "COMMITTED"])
    assert "commitment_report" in log.read_text()

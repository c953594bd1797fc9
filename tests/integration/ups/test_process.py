"""The worklist's process as `echo-agent ups serve` runs it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from agent.commands.demo.orthanc import free_ports
from agent.database.session import Database, database_now
from agent.ris.ups.scu import open_manager
from tests.support.ups_peer import peer
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen, warm_run
from tests.unit.agent.rows import add_job, add_study


@pytest.fixture
def served(tmp_path: Path, database: Database) -> Iterator[tuple[int, int]]:
    """A running worklist: its DIMSE port and its HTTP port."""
    dimse, http = free_ports(2)
    config = tmp_path / "config.yaml"
    url = str(database.engine.url)
    config.write_text(
        f"database: {{url: '{url}'}}\nups: {{enabled: true, port: {dimse}, http_port: {http}}}\n"
        "log: {format: json}\n"
    )
    command = [sys.executable, "-m", "agent", "ups", "serve", "--config", str(config)]
    process = WarmPopen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("event") == "ready":
            break
    yield dimse, http
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_drafts_are_workitems_over_both_transports(database: Database, served: tuple[int, int]) -> None:
    """A queued study appears over DIMSE and HTTP; cancelling it over HTTP stops the job."""
    with database.transaction() as session:
        now = database_now(session)
        add_job(session, add_study(session, "1.2.3", at=now), "QUEUED", at=now)
    dimse, http = served
    with httpx2.Client(base_url=f"http://127.0.0.1:{http}", timeout=30) as client:
        scheduled = "/workitems?ProcedureStepState=SCHEDULED"
        wait_for(lambda: client.get(scheduled).status_code == 200)
        uid = client.get(scheduled).json()[0]["00080018"]["Value"][0]
        with open_manager(peer(dimse)) as remote:
            assert [str(one.SOPInstanceUID) for one in remote.ready()] == [uid]
        assert client.post(f"/workitems/{uid}/cancelrequest").status_code == 202
        wait_for(lambda: client.get(f"/workitems/{uid}").json()[0]["00741000"]["Value"] == ["CANCELED"])


def test_request_head_that_does_not_come_costs_nobody_else_anything(
    served: tuple[int, int],
) -> None:
    """A search is answered while two hundred connections hold half a request head."""
    _dimse, http = served
    with ExitStack() as stack:
        for _ in range(200):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", http), timeout=30))
            slow.sendall(b"GET /workitems HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        with httpx2.Client(base_url=f"http://127.0.0.1:{http}", timeout=30) as client:
            assert client.get("/workitems").status_code in (200, 204)
        slow.settimeout(60)
        assert slow.recv(64) == b""  # the time limit for a head has passed


def test_watch_prints_each_change(tmp_path: Path, database: Database, served: tuple[int, int]) -> None:
    """`echo-agent ups watch`, run by a reading station, prints a draft that is queued and then cancelled."""
    with database.transaction() as session:
        now = database_now(session)
        add_job(session, add_study(session, "1.2.4", at=now), "QUEUED", at=now)
    config = str(tmp_path / "config.yaml")
    command = [sys.executable, "-m", "agent", "ups", "watch", "--config", config]
    with WarmPopen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        uid, state, *_ = process.stdout.readline().split("\t")
        asked = [sys.executable, "-m", "agent", "ups", "cancel", uid, "--config", config]
        assert warm_run(asked, timeout=120).returncode == 0
        changed = next(line for line in process.stdout if "CANCELED" in line).split("\t")
        process.terminate()
        assert process.wait(60) == 0
    assert (state, changed[0]) == ("SCHEDULED", uid)

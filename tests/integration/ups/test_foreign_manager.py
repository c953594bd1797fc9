"""We perform for an independent manager, on npm's dcmjs-dimse; our process is killed while it drafts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.commands.demo.orthanc import free_ports
from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Document, Job
from tests.integration.ups.node import Node
from tests.integration.ups.test_dcmjs import plain
from tests.integration.ups.test_performer import Site
from tests.support.ups import scheduled
from tests.support.warm_python import WarmPopen
from tests.unit.agent.rows import add_draft

UID, STUDY = "2.25.8700.1", "2.25.8700.2"


class Performing:
    """`echo-agent ups serve` as a process that performs for the manager at a port."""

    def __init__(self, folder: Path, database: Database, manager: int) -> None:
        dimse, http = free_ports(2)
        self._config = folder / "config.yaml"
        self._config.write_text(
            f"database: {{url: '{database.engine.url}'}}\n"
            f"storage: {{path: '{folder / 'instances'}'}}\n"
            f"ups: {{enabled: true, port: {dimse}, http_port: {http}, managers: "
            f"[{{name: ris, host: 127.0.0.1, port: {manager}, ae_title: ECHO_UPS, poll_s: 0.2}}]}}\n"
            "log: {format: json}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "agent", "ups", "serve", "--config", str(self._config)]
        self._process = WarmPopen(command, stderr=subprocess.DEVNULL)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Kill the process at the end of the block."""
        try:
            yield
        finally:
            self.kill()

    def kill(self) -> int:
        """Kill it; return its exit status."""
        assert self._process is not None
        self._process.kill()
        return self._process.wait()


def test_performer_killed_in_mid_draft_ends_what_it_has_claimed(
    tmp_path: Path, database: Database, node: Node
) -> None:
    """After SIGKILL while drafting, the next process completes once, with the stored Transaction UID."""
    item = scheduled()
    item.InputInformationSequence[0].StudyInstanceUID = STUDY
    (port,) = free_ports(1)
    (tmp_path / "items.json").write_text(json.dumps({UID: plain(item)}))
    job_id = Site(database, port).study(STUDY)
    performing = Performing(tmp_path, database, port)
    with node.running("manager", str(port), str(tmp_path / "items.json")) as manager, performing.ended():
        assert manager.stdout is not None
        assert json.loads(manager.stdout.readline()) == {"listening": True}
        performing.start()
        claimed = json.loads(manager.stdout.readline())
        Site(database, port).go(job_id, "GENERATING")
        assert performing.kill() == -signal.SIGKILL
        with database.transaction() as session:
            job = session.get_one(Job, job_id)
            job.state = JobState.DELIVERED.value
            add_draft(session, job, at=database_now(session), stored_after_s=1)
        performing.start()
        ended = json.loads(manager.stdout.readline())
    assert (claimed["uid"], claimed["state"]) == (UID, "IN PROGRESS")
    with database.reading() as session:
        made = [one.sop_instance_uid for one in session.query(Document)]
    assert ended == {
        "uid": UID, "state": "COMPLETED", "transaction": claimed["transaction"], "outputs": made,
    }  # fmt: skip

"""The servers of the receive benchmark, each in a separate process and folder."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from agent.commands.demo.orthanc import free_ports, running_orthanc
from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import ListenerSettings, LogSettings, StowSettings, StudySettings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.receive.scp import StorageScp
from agent.service.http_server import stow_server
from benchmarks.receive_client import Target

MAXIMUM_ASSOCIATIONS = 32


@contextmanager
def echo_agent(folder: Path, *, stow: bool = False) -> Iterator[tuple[Target, psutil.Process]]:
    """Our listener, durable, with its database on the same disk; by C-STORE, or by STOW-RS."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_listen, args=(folder, there, stow), daemon=True
    )
    process.start()
    there.close()  # ours; when the process ends early, recv() says so
    try:
        port = here.recv()
        target = Target(host="127.0.0.1", port=port, ae_title="ECHO_AGENT", path="/studies" if stow else "")
        yield target, psutil.Process(process.pid)
    finally:
        with suppress(OSError):
            here.send("stop")
        process.join(30)
        process.kill()


def _listen(folder: Path, pipe: Connection, stow: bool) -> None:
    configure_logging(LogSettings(level="warning"))
    database = Database(open_engine(f"sqlite:///{folder / 'agent.db'}"))
    migrate.upgrade(database)
    store = InstanceStore(folder / "instances", 1000)
    settings = ListenerSettings(
        port=0,
        maximum_associations=MAXIMUM_ASSOCIATIONS,
        maximum_associations_per_peer=MAXIMUM_ASSOCIATIONS,
        stow=StowSettings(port=0) if stow else None,
    )
    intake = Intake(database, StudySettings())
    server = stow_server(settings, store, intake, lambda event: None)
    scp = StorageScp(settings, store, intake)
    port = scp.start()
    pipe.send(port if server is None else server.start())
    pipe.recv()
    if server is not None:
        server.stop()
    scp.stop(5)
    database.close()


@contextmanager
def dcmtk_storescp(folder: Path, *, nodelay: bool = False) -> Iterator[tuple[Target, psutil.Process]]:
    """dcmtk's storescp, a process for each association; it flushes nothing to the disk.

    nodelay: without it, as packaged, the second write of each answer waits up to 40 ms for the client's
    delayed acknowledgement (Nagle's algorithm).
    """
    program = shutil.which("storescp")
    if program is None:
        raise FileNotFoundError("storescp is not installed: apt-get install dcmtk")
    (port,) = free_ports(1)
    command = [program, "--fork", "--max-pdu", "131072", "--output-directory", str(folder), str(port)]
    environment = {**os.environ, "TCP_NODELAY": "1"} if nodelay else None
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        _wait_for_port(port, process)
        yield Target(host="127.0.0.1", port=port, ae_title="STORESCP"), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def orthanc(folder: Path, *, stow: bool = False) -> Iterator[tuple[Target, psutil.Process]]:
    """Orthanc with its own database; by C-STORE, or by the STOW-RS of its DICOMweb plugin."""
    with running_orthanc(folder) as server:
        found = [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if str(folder) in " ".join(process.info["cmdline"] or [])
        ]
        target = Target(host=server.host, port=server.port, ae_title=server.ae_title)
        if stow:
            port = int(server.url.rpartition(":")[2])
            target = Target(host=server.host, port=port, path="/dicom-web/studies")
        yield target, found[0]


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was started accepts connections.

    Raises:
        RuntimeError: it ended, or does not accept any within 30 s.
    """
    until = time.monotonic() + 30.0
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server does not accept connections on port {port}")

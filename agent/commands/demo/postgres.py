"""A real PostgreSQL, started on a free loopback port with its own folder, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from agent.commands.demo.orthanc import free_ports
from agent.foundation.errors import ProgramMissing, ProgramNotReady

SUPERUSER = "postgres"
POSTGRES_LIB = Path("/usr/lib/postgresql")


def _programs() -> Path | None:
    """The folder of the newest installed server, or None."""
    found = sorted(POSTGRES_LIB.glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A server on loopback, without a password; a test may stop and start it."""

    programs: Path
    folder: Path
    port: int
    # Without it a commit survives the death of any process, but not of the machine, and tests are faster.
    durable: bool

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def run(self, *command: str) -> None:
        """Run one of its programs as its own user: the server refuses to run as root."""
        _as_server_user([str(self.programs / command[0]), *command[1:]], self.folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c max_connections=200"
        if not self.durable:
            options += " -c fsync=off"
        self.run(
            "pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is like a power cut."""
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def create(self, template: str = "template1") -> str:
        """Create a database as a copy of the template, and return its name."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Delete a database, even if clients are still connected to it."""
        self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        address = f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement.encode())


def _as_server_user(command: Sequence[str], folder: Path) -> None:
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam(SUPERUSER)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
        **identity,
    )
    if done.returncode:
        raise ProgramNotReady(f"{Path(command[0]).name} ended with status {done.returncode}")


@contextmanager
def running_postgres(*, durable: bool) -> Iterator[PostgresServer]:
    """Start a server with an empty cluster; stop it and remove its folder at the end.

    Raises:
        ProgramMissing: PostgreSQL is not installed.
        ProgramNotReady: it does not start.
    """
    programs = _programs()
    if programs is None:
        raise ProgramMissing("PostgreSQL is not installed: apt-get install postgresql")
    # Not in a folder that only root may enter: the server runs as its own user.
    folder = Path(tempfile.mkdtemp(prefix="echo-agent-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, SUPERUSER, SUPERUSER)
        server = PostgresServer(programs=programs, folder=folder, port=free_ports(1)[0], durable=durable)
        server.run(
            "initdb", "-D", f"{folder}/data", "-U", SUPERUSER, "-A", "trust", "--no-sync", "-E", "UTF8"
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)

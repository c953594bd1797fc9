"""A real PostgreSQL from Debian's packages, and one database fixture for both kinds."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent import migrate
from agent.db.session import Database, open_engine
from agent.demo.orthanc import free_ports

SUPERUSER = "postgres"
POSTGRES_LIB = Path("/usr/lib/postgresql")


def _programs() -> Path | None:
    """The folder of the newest installed server, or None."""
    found = sorted(POSTGRES_LIB.glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server on loopback, without a password; it may be stopped and started by a test."""

    programs: Path
    folder: Path
    port: int

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def run(self, *command: str) -> None:
        """Run one of its programs as its own user: the server refuses to run as root."""
        _as_server_user([str(self.programs / command[0]), *command[1:]], self.folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        # The tests kill processes, not machines: what the kernel has is as good as on the disk.
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off -c max_connections=200"
        self.run(
            "pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is as good as a power cut."""
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def create(self, template: str = "template1") -> str:
        """Make a database, a copy of the template, and return its name."""
        name = f"test_{uuid.uuid4().hex}"
        address = f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return name


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
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr!r}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own; skipped where the package is missing (failed where CI=true)."""
    programs = _programs()
    if programs is None:
        reason = "PostgreSQL is not installed; `make setup` installs it where it may"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # Not below pytest's own folder, which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="echo-agent-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, SUPERUSER, SUPERUSER)
    server = PostgresServer(programs=programs, folder=folder, port=free_ports(1)[0])
    server.run("initdb", "-D", f"{folder}/data", "-U", SUPERUSER, "-A", "trust", "--no-sync", "-E", "UTF8")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


def _migrate(url: str) -> None:
    opened = Database(open_engine(url))
    migrate.upgrade(opened)
    opened.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating anew for each test takes longer than the tests."""
    path = tmp_path_factory.mktemp("template") / "agent.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a migrated PostgreSQL database to copy."""
    name = postgres.create()
    _migrate(postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database with the newest schema, once of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "agent.db")
        return f"sqlite:///{tmp_path / 'agent.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.create(request.getfixturevalue("postgres_template")))


@pytest.fixture
def both_databases(database_url: str) -> Iterator[Database]:
    """An empty database with the newest schema, once of each kind."""
    opened = Database(open_engine(database_url))
    yield opened
    opened.close()

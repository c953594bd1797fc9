"""A real PostgreSQL from Debian's packages, and one database fixture for both engines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands.demo.postgres import PostgresServer, running_postgres
from agent.database import migrate, wakeup
from agent.database.session import Database, open_engine
from agent.foundation.errors import ProgramMissing
from agent.receive import scp

# How soon a thread that waits for PostgreSQL's notifications sees a stop request; tests wait for that.
wakeup.STOP_WITHIN_S = 0.05
# A listener that has not seen an association's end yet would postpone a study that a test has just made due.
# Tests of that set the interval themselves.
scp._HOLD_EVERY_S = (3600.0, 3600.0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the tests; skipped if the package is missing (failed if CI=true)."""
    try:
        with running_postgres(durable=False) as server:
            yield server
    except ProgramMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def _migrate(url: str) -> None:
    opened = Database(open_engine(url))
    migrate.upgrade(opened)
    opened.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating again for each test takes longer than the tests."""
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
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database with the newest schema, for each engine in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "agent.db")
        yield f"sqlite:///{tmp_path / 'agent.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def both_databases(database_url: str) -> Iterator[Database]:
    """An empty database with the newest schema, for each engine in turn."""
    opened = Database(open_engine(database_url))
    yield opened
    opened.close()

"""Why a database refused: each cause has its own error, and only temporary ones are retryable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg.errors
import pytest
from psycopg import OperationalError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from agent.database.causes import cause_of
from agent.database.session import Database, open_engine
from agent.foundation.errors import AgentError, DatabaseRefused, DatabaseUnavailable, SchemaOutdated


def run(database: Database, *statements: str) -> None:
    """Run statements in one transaction."""
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def no_table(database: Database, _path: Path) -> None:
    run(database, "DROP TABLE deliveries")
    run(database, "SELECT * FROM deliveries")


def no_column(database: Database, _path: Path) -> None:
    run(database, "ALTER TABLE jobs RENAME COLUMN priority TO urgency")
    run(database, "SELECT priority FROM jobs")


def no_column_to_write(database: Database, _path: Path) -> None:
    run(database, "INSERT INTO jobs (unheard_of) VALUES (1)")


def full(database: Database, _path: Path) -> None:
    with database.transaction() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar_one()
        session.execute(text(f"PRAGMA max_page_count={pages}"))
        session.execute(text("CREATE TABLE more AS SELECT randomblob(100000) AS bytes"))


def read_only(_database: Database, path: Path) -> None:
    opened = Database(open_engine(f"sqlite:///file:{path}?mode=ro&uri=true"))
    run(opened, "DELETE FROM jobs")


def a_folder(_database: Database, path: Path) -> None:
    run(Database(open_engine(f"sqlite:///{path.parent}")), "SELECT 1")


def no_database(_database: Database, path: Path) -> None:
    other = path.with_name("other.db")
    other.write_bytes(b"this is a letter, and no database at all; it is long enough for a header" * 20)
    run(Database(open_engine(f"sqlite:///{other}")), "SELECT 1")


@pytest.mark.parametrize(
    ("break_it", "kind", "says"),
    [
        (no_table, SchemaOutdated, "lacks a table or column"),
        (no_column, SchemaOutdated, "lacks a table or column"),
        (no_column_to_write, SchemaOutdated, "lacks a table or column"),
        (full, DatabaseUnavailable, "full"),
        (read_only, DatabaseRefused, "read-only"),
        (a_folder, DatabaseRefused, "cannot be opened"),
        (no_database, DatabaseRefused, "not a database"),
    ],
)
def test_sqlite_errors_are_sorted_by_cause(
    database: Database,
    tmp_path: Path,
    break_it: Callable[[Database, Path], None],
    kind: type[AgentError],
    says: str,
) -> None:
    """What an operator must correct is not reported as unavailable; only temporary errors are retryable."""
    with pytest.raises(kind, match=says) as raised:
        break_it(database, tmp_path / "agent.db")
    assert (kind, kind is DatabaseUnavailable) == (type(raised.value), raised.value.retryable)


def test_locked_database_is_tried_again(database: Database, tmp_path: Path) -> None:
    """A lock held too long by another process is retryable."""
    engine = open_engine(f"sqlite:///{tmp_path / 'agent.db'}")
    impatient = Database(engine)
    with database.transaction() as session:
        session.execute(text("DELETE FROM jobs"))
        with engine.connect() as held:
            held.connection.driver_connection.execute("PRAGMA busy_timeout=0")  # type: ignore[union-attr]
        with pytest.raises(DatabaseUnavailable, match="locked") as raised:
            run(impatient, "DELETE FROM jobs")
    assert (DatabaseUnavailable, True) == (type(raised.value), raised.value.retryable)


def test_mistake_of_ours_is_no_outage(database: Database) -> None:
    """An invalid statement fails at every attempt, so that its error is passed on unchanged."""
    with pytest.raises(DBAPIError):
        run(database, "SELEC 1")


def test_outdated_schema_says_how_to_upgrade() -> None:
    """The hint names the command that upgrades the schema."""
    assert "echo-agent db upgrade" in SchemaOutdated.hint


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.UndefinedTable('relation "jobs" does not exist'), SchemaOutdated),
        (psycopg.errors.UndefinedColumn("column"), SchemaOutdated),
        (psycopg.errors.UndefinedObject('type "lane" does not exist'), SchemaOutdated),
        (psycopg.errors.DataCorrupted("invalid page in block 3"), DatabaseRefused),
        (psycopg.errors.IndexCorrupted("index contains unexpected zero page"), DatabaseRefused),
        (psycopg.errors.InternalError_("cache lookup failed"), DatabaseUnavailable),
        (psycopg.errors.InvalidPassword("password"), DatabaseRefused),
        (psycopg.errors.InsufficientPrivilege("permission denied"), DatabaseRefused),
        (
            OperationalError('FATAL:  password authentication failed for user "a"'),
            DatabaseRefused,
        ),
        (OperationalError('connection failed: FATAL:  database "b" does not exist'), DatabaseRefused),
        (OperationalError("connection failed: Connection refused"), DatabaseUnavailable),
        (psycopg.errors.AdminShutdown("terminating connection"), DatabaseUnavailable),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), DatabaseUnavailable),
        (psycopg.errors.TooManyConnections("sorry, too many clients already"), DatabaseUnavailable),
        (psycopg.errors.DiskFull("could not extend file"), DatabaseUnavailable),
        (psycopg.errors.DeadlockDetected("deadlock detected"), DatabaseUnavailable),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), DatabaseUnavailable),
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"), DatabaseUnavailable),
        (psycopg.errors.UniqueViolation("duplicate key"), type(None)),
        (psycopg.errors.SyntaxError("syntax error"), type(None)),
        (psycopg.errors.NotNullViolation("null value"), type(None)),
    ],
)
def test_postgres_errors_are_sorted_by_cause(error: psycopg.Error, kind: type) -> None:
    """The same for PostgreSQL, by SQLSTATE; for a refused connection, by the server's message."""
    cause = cause_of(DBAPIError("SELECT 1", None, error))
    assert kind is type(cause)

"""Engines and transactions for both databases: SQLite (WAL, fully synchronous) and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from agent.database.causes import cause_of

_READS = "echo_agent_reads"
_RELAXED = "echo_agent_relaxed"
# Detects a broken connection within half a minute; by default a write would block for a quarter of an hour.
_POSTGRES_LINE = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Pages of the write-ahead log after which a durable commit copies it into the database.
_CHECKPOINT_PAGES = 1000


def open_engine(url: str) -> Engine:
    """Return an engine for a SQLAlchemy URL, set up so that a commit is durable.

    SQLite: write-ahead log, `synchronous=FULL`, foreign keys, waits up to 30 s for a locked file, and
    every transaction begins with `BEGIN IMMEDIATE`, so that two claimers never read the same row.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        driver = parsed.set(drivername="postgresql+psycopg") if "+" not in parsed.drivername else parsed
        return create_engine(
            driver, pool_pre_ping=True, pool_size=10, max_overflow=40, connect_args=_POSTGRES_LINE
        )
    if (file := sqlite_file(parsed)) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30.0, "check_same_thread": False})
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def sqlite_file(url: URL) -> Path | None:
    """Return the database's file, even if the URL gives it as a URI filename (`file:...?uri=true`).

    None for a database in memory and for PostgreSQL.
    """
    named = url.database or ""
    if url.get_backend_name() != "sqlite":
        return None
    if named.startswith("file:"):
        named = unquote(urlsplit(named).path)
    in_memory = named in ("", ":memory:") or url.query.get("mode") == "memory"
    return None if in_memory else Path(named)


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN is deferred; ours is immediate.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    options = connection.get_execution_options()
    # A reader must neither wait for the writer nor block it.
    if options.get(_READS, False):
        connection.exec_driver_sql("BEGIN")
        return
    relaxed = options.get(_RELAXED, False)
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if relaxed else 'FULL'}")
    # Copying the log into the database flushes both: a durable commit waits for the disk anyway.
    connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={0 if relaxed else _CHECKPOINT_PAGES}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Database:
    """Access to the database: sessions, and the database's own time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        self._relaxed = sessionmaker(
            engine.execution_options(**{_RELAXED: True}), expire_on_commit=False, info={_RELAXED: True}
        )
        self._readers = sessionmaker(engine.execution_options(**{_READS: True}), expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that commits at the end and rolls back on any error.

        Raises:
            DatabaseUnavailable: the database does not answer, or refuses for good; nothing was written.
        """
        with _translated(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def relaxed(self) -> Iterator[Session]:
        """Open a transaction that a power cut may undo as a whole, though the death of a process cannot.

        Its commit does not wait for the disk, provided that `database_now` is called in it, as for every
        lease. Suitable for leases: a lost claim is made again, and the fencing token of the lost one is
        refused.

        Raises:
            DatabaseUnavailable: the database does not answer, or refuses for good; nothing was written.
        """
        with _translated(), self._relaxed.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a read-only session: it sees one snapshot, takes no write lock, and is rolled back.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with _translated(), self._readers() as session:
            yield session
            # Keep the rows usable after the rollback, which would expire them.
            session.expunge_all()
            session.rollback()

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        cause = cause_of(error)
        if cause is None:
            raise
        raise cause from error


def database_now(session: Session) -> datetime:
    """Return the database's time, aware, in UTC: the one clock that all machines use."""
    if session.get_bind().dialect.name == "sqlite":
        value = session.execute(text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC)
    # One query instead of two: every round trip counts in a claim.
    relax = "SELECT clock_timestamp(), set_config('synchronous_commit', 'off', true)"
    query = relax if session.info.get(_RELAXED) else "SELECT clock_timestamp()"
    moment: datetime = session.execute(text(query)).scalar_one()
    return moment.astimezone(UTC)

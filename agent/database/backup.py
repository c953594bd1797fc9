"""Copies the whole database to a file while the service runs, and restores such a file.

SQLite by its own online backup, PostgreSQL by pg_dump and pg_restore. A backup holds patients' names: only
its owner may read it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import MetaData
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from agent.database.session import Database, sqlite_file
from agent.foundation.errors import BackupFailed, ProgramMissing

SUFFIX = {"sqlite": "db", "postgresql": "dump"}
# Connection parameters passed in the environment, so that no password appears in the process list.
_VARIABLES = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "username", "PGPASSWORD": "password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A file that holds the whole database."""

    path: Path
    size_bytes: int


def backup_name(database: Database, now: datetime) -> str:
    """Return a file name that sorts by time."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"echo-agent-{stamp}.{SUFFIX[database.engine.dialect.name]}"


def back_up(database: Database, target: Path) -> Backup:
    """Copy the database to `target`, which must not exist yet; writers continue meanwhile.

    Raises:
        BackupFailed: the file exists, cannot be written, or is incomplete.
        ProgramMissing: PostgreSQL's pg_dump is not installed.
    """
    if target.exists():
        raise BackupFailed(f"{target} already exists: choose another file name")
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if database.is_sqlite:
            _copy_sqlite(_file_of(database), unfinished)
        else:
            _run("pg_dump", ["--format=custom", "--no-owner", f"--file={unfinished}"], database.engine.url)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(
            f"{target} could not be written ({type(error).__name__}): check the folder and its free space"
        ) from error
    finally:
        if unfinished.exists():
            unfinished.unlink()
    return Backup(path=target, size_bytes=target.stat().st_size)


def restore(database: Database, source: Path) -> None:
    """Restore the database to its state when `source` was written; later changes are lost.

    The caller has made sure that no process of the service is running.

    Raises:
        BackupFailed: the file is not a backup of this kind of database, or it could not be restored.
        ProgramMissing: PostgreSQL's pg_restore is not installed.
    """
    if not source.is_file():
        raise BackupFailed(f"there is no file {source}")
    try:
        if database.is_sqlite:
            target = _file_of(database)
            database.close()
            _copy_sqlite(source, target)
            return
        _run(
            "pg_restore", ["--list", str(source)], database.engine.url
        )  # readable, before anything is dropped
        tables = MetaData()
        tables.reflect(database.engine)
        tables.drop_all(database.engine)
        database.close()
        arguments = ["--no-owner", "--single-transaction", "--exit-on-error", str(source)]
        _run("pg_restore", arguments, database.engine.url)
    except (sqlite3.Error, DBAPIError) as error:
        raise BackupFailed(
            f"{source} could not be restored ({type(error).__name__}): is it a backup of this kind of "
            "database, and is nothing else using the database?"
        ) from error


def _file_of(database: Database) -> Path:
    file = sqlite_file(database.engine.url)
    if file is None:
        raise BackupFailed("a database in memory has no backup")
    return file


def _copy_sqlite(source: Path, target: Path) -> None:
    address = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as old, closing(sqlite3.connect(target)) as new:
        if not old.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            raise BackupFailed(f"{source} contains no database of this service")
        old.backup(new)
        found = new.execute("PRAGMA quick_check").fetchone()
        if found != ("ok",):
            raise BackupFailed(f"{target} is incomplete: the disk or {source} is damaged; do not rely on it")


def _run(program: str, arguments: list[str], url: URL) -> None:
    path = shutil.which(program)
    if path is None:
        raise ProgramMissing(f"{program} is not installed: apt-get install postgresql-client")
    told = {name: str(getattr(url, part)) for name, part in _VARIABLES.items() if getattr(url, part)}
    environment = {**os.environ, **told, "PGDATABASE": url.database or ""}
    if program == "pg_restore" and "--list" not in arguments:
        arguments = [f"--dbname={url.database}", *arguments]
    done = subprocess.run(
        [path, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # Its first line names the cause; later ones may quote rows.
        why = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise BackupFailed(f"{program} failed: {why}")

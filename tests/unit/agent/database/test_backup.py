"""A backup holds the whole database, is readable only by its owner, and can be restored."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from agent.database import migrate
from agent.database.backup import back_up, backup_name, restore
from agent.database.session import Database, open_engine
from agent.database.tables import Study
from agent.foundation.errors import BackupFailed
from tests.unit.agent.rows import add_study, now_of


def studies(database: Database) -> int:
    """Count the studies."""
    with database.reading() as session:
        return session.execute(select(func.count()).select_from(Study)).scalar_one()


def receive(database: Database, uid: str) -> None:
    """Add a study."""
    with database.transaction() as session:
        add_study(session, uid, at=now_of(database))


def test_backup_can_be_put_back(database: Database, tmp_path: Path) -> None:
    """A restore brings back the rows and the schema revision at the time of the backup."""
    receive(database, "1.1")
    made = back_up(database, tmp_path / "backups" / "one.db")
    receive(database, "1.2")
    restore(database, made.path)
    again = Database(open_engine(str(database.engine.url)))
    assert (studies(again), migrate.current_revision(again)) == (1, migrate.head_revision())
    again.close()


def test_backup_is_for_its_owner_alone(database: Database, tmp_path: Path) -> None:
    """A backup contains patients' names."""
    made = back_up(database, tmp_path / "backups" / "one.db")
    assert made.path.stat().st_mode & 0o077 == 0
    assert made.path.parent.stat().st_mode & 0o077 == 0


def test_backup_waits_for_no_writer(database: Database, tmp_path: Path) -> None:
    """An open write transaction does not block the backup, and is not part of it."""
    opened, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with database.transaction() as session:
            at = datetime.now(UTC)
            add_study(session, "1.1", at=at)
            opened.set()
            go_on.wait(30)

    writer = threading.Thread(target=write)
    writer.start()
    opened.wait(30)
    try:
        made = back_up(database, tmp_path / "one.db")
    finally:
        go_on.set()
        writer.join()
    copy = sqlite3.connect(made.path)
    assert copy.execute("SELECT count(*) FROM studies").fetchone() == (0,)
    copy.close()
    assert studies(database) == 1


def test_backup_overwrites_nothing(database: Database, tmp_path: Path) -> None:
    """An existing file of that name is left unchanged."""
    (tmp_path / "one.db").write_bytes(b"mine")
    with pytest.raises(BackupFailed):
        back_up(database, tmp_path / "one.db")
    assert (tmp_path / "one.db").read_bytes() == b"mine"


def test_backup_that_fails_leaves_nothing(database: Database, tmp_path: Path) -> None:
    """A folder that cannot be created gives a clear error, and no file is left."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BackupFailed, match="check the folder"):
        back_up(database, tmp_path / "file" / "one.db")
    assert list(tmp_path.rglob("*one*")) == []


def test_backup_that_ends_half_way_leaves_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the copy fails after it has begun, neither the unfinished file nor the named one is left."""

    def half(*places: object) -> None:
        Path(str(places[-1])).write_bytes(b"half")
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("agent.database.backup._copy_sqlite", half)
    with pytest.raises(BackupFailed):
        back_up(database, tmp_path / "one.db")
    assert list(tmp_path.rglob("*one*")) == []


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_restore_refuses_what_is_no_backup(database: Database, tmp_path: Path, content: bytes | None) -> None:
    """A file that is not a database, or another program's database, is refused and changes nothing."""
    receive(database, "1.1")
    source = tmp_path / "other.db"
    if content is None:
        with sqlite3.connect(source) as other:
            other.execute("CREATE TABLE other (id)")
        other.close()
    else:
        source.write_bytes(content)
    with pytest.raises(BackupFailed):
        restore(database, source)
    assert studies(database) == 1


def test_backup_names_sort_by_time(database: Database) -> None:
    """A backup's name contains its time, so that the newest is listed last."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert backup_name(database, moment) == "echo-agent-20260102T030405Z.db"
    moments = [moment, moment.replace(second=10), moment.replace(day=12), moment.replace(year=2027)]
    names = [backup_name(database, one) for one in moments]
    assert names == sorted(set(names))

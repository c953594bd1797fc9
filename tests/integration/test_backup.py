"""Backup and restore on both databases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select

from agent.database import migrate
from agent.database.backup import SUFFIX, back_up, restore
from agent.database.session import Database, open_engine
from agent.database.tables import Study
from tests.unit.agent.rows import add_study, now_of

pytestmark = pytest.mark.integration


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="postgresql-client is not installed")
def test_backup_brings_the_database_back(both_databases: Database, database_url: str, tmp_path: Path) -> None:
    """Rows and schema are those of the backup; a table that was added later is gone."""
    with both_databases.transaction() as session:
        add_study(session, "1.1", at=now_of(both_databases))
    kind = both_databases.engine.dialect.name
    made = back_up(both_databases, tmp_path / f"one.{SUFFIX[kind]}")
    with both_databases.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE of_a_later_version (id INTEGER)")
        connection.exec_driver_sql("DELETE FROM studies")
    restore(both_databases, made.path)
    again = Database(open_engine(database_url))
    with again.reading() as session:
        assert session.execute(select(func.count()).select_from(Study)).scalar_one() == 1
    assert migrate.current_revision(again) == migrate.head_revision()
    with again.engine.connect() as connection:
        assert not again.engine.dialect.has_table(connection, "of_a_later_version")
    again.close()

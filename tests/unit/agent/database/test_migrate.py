"""The migrations create exactly the tables that the code uses, and keep the data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, select, text

from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.database.tables import Base, Delivery, Job
from agent.foundation.errors import SchemaOutdated, SchemaTooNew


@pytest.fixture
def empty(tmp_path: Path) -> Database:
    """A SQLite database without tables."""
    return Database(open_engine(f"sqlite:///{tmp_path / 'empty.db'}"))


def run(database: Database, action: str, revision: str) -> None:
    """Migrate a database to a revision with Alembic itself."""
    config = migrate._config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        getattr(command, action)(config, revision)


def fill(database: Database) -> None:
    """Put one row into every table, with a value in each column."""
    metadata = MetaData()
    metadata.reflect(database.engine)
    values = {"INTEGER": 1, "BIGINT": 1, "BOOLEAN": True, "FLOAT": 1.0, "BLOB": b"x", "JSON": {}}
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)
    with database.engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name == "alembic_version":
                continue
            connection.execute(
                table.insert().values(
                    {
                        c.name: values.get(str(c.type), moment if "DATE" in str(c.type) else "x")
                        for c in table.c
                    }
                )
            )


def test_upgrade_makes_the_tables_of_the_metadata(database: Database) -> None:
    """After the upgrade the database matches the classes of `agent.database.tables`."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrade_twice_changes_nothing(empty: Database) -> None:
    """The second upgrade finds the newest revision and makes no backup."""
    first, second = migrate.upgrade(empty), migrate.upgrade(empty)
    assert first == migrate.Upgrade(before=None, after=migrate.head_revision(), backup=None)
    assert second == migrate.Upgrade(before=first.after, after=first.after, backup=None)


def test_require_current_names_the_command_on_an_empty_database(empty: Database) -> None:
    """A database without tables is refused as outdated."""
    with pytest.raises(SchemaOutdated, match="revision none") as refused:
        migrate.require_current(empty)
    assert "db upgrade" in f"{refused.value} {refused.value.hint}"


def test_require_current_fills_an_empty_database_when_asked(empty: Database) -> None:
    """`serve` on a new machine creates the tables itself."""
    assert migrate.require_current(empty, create=True) == migrate.head_revision()


def test_require_current_refuses_an_older_revision(empty: Database) -> None:
    """A database with an older schema is neither used nor upgraded without being asked."""
    run(empty, "upgrade", "0001")
    with pytest.raises(SchemaOutdated, match="revision 0001, this version needs"):
        migrate.require_current(empty, create=True)


def test_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    """After a rollback to an older version of the service, the hint says what to install or restore.

    The hint for an older schema, to upgrade, would not help: an upgrade is refused too.
    """
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (migrate.require_current, migrate.upgrade):
        with pytest.raises(SchemaTooNew, match=r"9999.*newer") as refused:
            use(database)
        assert "db upgrade" not in f"{refused.value} {refused.value.hint}"


def test_upgrade_keeps_jobs_and_deliveries_of_a_filled_database_and_copies_it_first(empty: Database) -> None:
    """A database of the oldest schema with a row in every table keeps its jobs and deliveries."""
    run(empty, "upgrade", "0001")
    fill(empty)
    done = migrate.upgrade(empty)
    assert (done.before, done.after) == ("0001", migrate.head_revision())
    with empty.transaction() as session:
        assert [job.state for job in session.scalars(select(Job))] == ["x"]
        assert [delivery.destination for delivery in session.scalars(select(Delivery))] == ["x"]
    copy = create_engine(f"sqlite:///{done.backup}")
    with copy.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0001"
        assert connection.execute(text("SELECT count(*) FROM deliveries")).scalar_one() == 1
    copy.dispose()


def test_every_revision_can_be_taken_back_on_a_filled_database(database: Database) -> None:
    """An operator who returns to an older version loses no delivery."""
    fill(database)
    run(database, "downgrade", "0001")
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM deliveries")).scalar_one() == 1
    oldest = list(ScriptDirectory.from_config(migrate._config()).walk_revisions())[-1]
    assert oldest.revision == "0001"

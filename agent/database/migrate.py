"""Upgrades the database to the schema of this version, and detects another schema.

A SQLite file is copied to the same folder before anything in it changes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from agent.database.causes import cause_of
from agent.database.session import Database, sqlite_file
from agent.foundation.errors import DatabaseUnavailable, SchemaOutdated, SchemaTooNew

if TYPE_CHECKING:
    from alembic.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What an upgrade did: the revisions before (None: empty) and after, and the copy made before it."""

    before: str | None
    after: str
    backup: Path | None


def _config() -> Config:
    # Importing Alembic takes a tenth of a second; only the commands that need it import it.
    from alembic.config import Config

    import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    config.set_main_option("path_separator", "os")
    return config


def head_revision() -> str:
    """Return the schema revision that this version of the service needs.

    Raises:
        SchemaOutdated: the revisions of this installation are incomplete.
    """
    return _known_revisions()[0]


@functools.cache
def _known_revisions() -> tuple[str, ...]:
    """Return the revisions in this installation, newest first. Alembic compiles each of their files anew."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        scripts = ScriptDirectory.from_config(_config())
        known = tuple(script.revision for script in scripts.walk_revisions(head="head"))
    except CommandError as error:
        raise SchemaOutdated("this installation's schema revisions are inconsistent; reinstall it") from error
    if not known:
        raise SchemaOutdated("this installation has no schema revisions; reinstall it")
    return known


def current_revision(database: Database) -> str | None:
    """Return the database's schema revision, or None for a database without our tables.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    try:
        with database.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if found is None else str(found)
    except DBAPIError as error:
        cause = cause_of(error)
        if cause is None:
            raise
        raise cause from error


def require_current(database: Database, *, create: bool = False) -> str:
    """Return the schema revision if it is the required one; `create` sets up an empty database.

    Raises:
        SchemaOutdated: the database has another revision (or none).
        DatabaseUnavailable: the database does not answer.
    """
    head, current = head_revision(), current_revision(database)
    if current is None and create:
        return upgrade(database).after
    if current is not None and current not in _known_revisions():
        raise SchemaTooNew(_written_by_a_newer_version(current))
    if current != head:
        raise SchemaOutdated(
            f"the database has schema revision {current or 'none'}, this version needs {head}"
        )
    return head


def upgrade(database: Database) -> Upgrade:
    """Bring the database to the newest schema revision; does nothing if it is already there.

    Raises:
        DatabaseUnavailable: the database does not answer.
        SchemaTooNew: a newer version has written it; to go back, restore a backup.
    """
    from alembic import command

    head, before = head_revision(), current_revision(database)
    if before == head:
        return Upgrade(before=before, after=head, backup=None)
    if before is not None and before not in _known_revisions():
        raise SchemaTooNew(_written_by_a_newer_version(before))
    backup = _backup(database, before) if before is not None and database.is_sqlite else None
    config = _config()
    try:
        with database.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise DatabaseUnavailable(
            f"the upgrade from {before} to {head} failed and was rolled back ({type(error).__name__}); "
            "check `database.url` and that no other process uses the database"
        ) from error
    return Upgrade(before=before, after=head, backup=backup)


def _written_by_a_newer_version(revision: str) -> str:
    return (
        f"the database has schema revision {revision}, which this version does not know: a newer one wrote it"
    )


def _backup(database: Database, revision: str) -> Path | None:
    file = sqlite_file(database.engine.url)
    if file is None:
        return None
    copy = Path(f"{file}.before-upgrade-from-{revision}")
    copy.unlink(missing_ok=True)
    raw = database.engine.raw_connection()
    try:
        raw.execute("VACUUM INTO ?", (str(copy),))
    finally:
        raw.close()
    return copy

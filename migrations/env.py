"""Runs the revisions on the connection from `agent.database.migrate`, or on the configured database."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import text
from sqlalchemy.engine import Connection

from agent.database.session import open_engine
from agent.database.tables import Base, UtcDateTime
from agent.foundation.settings.load import load_settings

# Two processes that start together must not both migrate; the number is an arbitrary constant.
POSTGRESQL_LOCK = 0x4543484F


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Render our time type as its plain database type."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def migrate(connection: Connection) -> None:
    """Migrate the connection's database to the requested revision, in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": POSTGRESQL_LOCK})
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    engine = open_engine(load_settings().database.url)
    with engine.connect() as own:
        migrate(own)
    engine.dispose()

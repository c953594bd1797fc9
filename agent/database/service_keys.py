"""Keys that all processes and machines of one service share: generated once, and kept in the database.

They are used if a setting is empty: `log.hash_key`, so that a study has the same reference in the logs of
all processes, and `web.session_key`, so that sessions survive a restart. Anyone who can read the database can
read them.
"""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from agent.database.session import Database, database_now
from agent.database.tables import ServiceKey

LOG_HASH = "log-hash"
WEB_SESSION = "web-session"


def service_key(database: Database, name: str) -> str:
    """Return the key of this name; generate it if there is none yet.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    found = _find(database, name)
    if found is not None:
        return found
    try:
        with database.transaction() as session:
            value = secrets.token_urlsafe(32)
            session.add(ServiceKey(name=name, value=value, created_at=database_now(session)))
        return value
    except IntegrityError:  # another process has generated it meanwhile
        found = _find(database, name)
        if found is None:
            raise
        return found


def _find(database: Database, name: str) -> str | None:
    with database.reading() as session:
        return session.scalar(select(ServiceKey.value).where(ServiceKey.name == name))

"""The address of the database: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

from difflib import get_close_matches

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
_FORMS = "sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME"


def check_database_url(value: str) -> str:
    """Return a URL that the service can open.

    Raises:
        ValueError: it is malformed, of another kind of database, or names no file or database.
    """
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError(f"not a database URL: {_FORMS}; special characters of a password as %XX") from None
    if url.drivername not in DRIVERS:
        near = get_close_matches(url.drivername, DRIVERS, 1, 0.75)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{meant}the database is {_FORMS}")
    if url.get_backend_name() == "sqlite":
        if url.host is not None:
            raise ValueError("a SQLite URL has three slashes before a relative path, four before an absolute")
        if not url.database or ":memory:" in url.database:
            raise ValueError("a database in memory is lost with its process: name a file, sqlite:///FILE")
    elif not url.database:
        raise ValueError(f"the name of the database is missing: {_FORMS}")
    return value

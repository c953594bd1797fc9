"""Classifies database errors: transient, to be corrected by an operator, or a fault of ours. Pure.

Sources: SQLite's result codes (sqlite.org/rescode.html); PostgreSQL's SQLSTATE (appendix A of its manual).
"""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy.exc import DBAPIError

from agent.foundation.errors import AgentError, DatabaseRefused, DatabaseUnavailable, SchemaOutdated

# SQLite has no specific code for these: they are plain SQLITE_ERROR.
_NO_SUCH_THING = re.compile(r"no such (table|column|index)|has no column named")
# Primary result codes of SQLite (the low byte of the extended code).
_SQLITE_LATER = {
    sqlite3.SQLITE_BUSY: "another process holds the database locked",
    sqlite3.SQLITE_LOCKED: "another process holds the database locked",
    sqlite3.SQLITE_PROTOCOL: "another process holds the database locked",
    sqlite3.SQLITE_FULL: "the disk that holds the database is full",
    sqlite3.SQLITE_IOERR: "the disk that holds the database reports an error",
    sqlite3.SQLITE_NOMEM: "the machine has run out of memory",
    sqlite3.SQLITE_INTERRUPT: "a statement was interrupted",
}
_SQLITE_REFUSED = {
    sqlite3.SQLITE_READONLY: "the database file is read-only for this user",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_PERM: "the database file cannot be opened",
    sqlite3.SQLITE_AUTH: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a database of this service",
}
# PostgreSQL: a table, column, schema, function or type does not exist.
_STATE_SCHEMA = ("42P01", "42703", "3F000", "42883", "42704")
_STATE_REFUSED = {
    "28": "the database refuses this user or password",
    "3D000": "the database of this name does not exist",
    "42501": "the database user lacks the permission for this",
    "XX001": "the database is damaged",
    "XX002": "an index of the database is damaged",
}
# Connection lost, out of resources, taken down by an operator, a read-only standby, a serialization failure.
_STATE_LATER = ("08", "53", "57", "58", "40", "25006", "55P03", "XX")
# A refused connection carries no SQLSTATE; its text comes from the server or from the resolver.
_REFUSED_WORDS = (
    (re.compile(r"password|authentication|no pg_hba"), "28"),
    (re.compile(r"database \S+ does not exist"), "3D000"),
)


def cause_of(error: DBAPIError) -> AgentError | None:
    """Return a driver's error as one of ours, worded for an operator; None for a programming error or a
    conflict.

    `DatabaseUnavailable` may be transient; `DatabaseRefused` and `SchemaOutdated` are not.
    """
    original = error.orig
    found = _of_sqlite(original) if isinstance(original, sqlite3.Error) else _of_postgres(original)
    if found is None and error.connection_invalidated:
        return DatabaseUnavailable("the connection to the database broke")
    return found


def _of_sqlite(error: sqlite3.Error) -> AgentError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the driver itself, such as a closed connection
        return None
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_ERROR and _NO_SUCH_THING.search(str(error)):
        return SchemaOutdated("the database lacks a table or column that this version needs")
    if primary in _SQLITE_LATER:
        return DatabaseUnavailable(_SQLITE_LATER[primary])
    return DatabaseRefused(_SQLITE_REFUSED[primary]) if primary in _SQLITE_REFUSED else None


def _of_postgres(error: BaseException | None) -> AgentError | None:
    state = getattr(error, "sqlstate", None)
    if state is None:
        if type(error).__name__ not in ("OperationalError", "ConnectionTimeout", "InterfaceError"):
            return None
        state = next((code for words, code in _REFUSED_WORDS if words.search(str(error))), "08")
    if state in _STATE_SCHEMA:
        return SchemaOutdated("the database lacks a table or column that this version needs")
    for prefix, words in _STATE_REFUSED.items():
        if state.startswith(prefix):
            return DatabaseRefused(words)
    if state.startswith(_STATE_LATER):
        return DatabaseUnavailable("the database does not answer")
    return None

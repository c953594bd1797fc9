"""Heartbeats in the database."""

from __future__ import annotations

from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import Worker
from agent.operations.heartbeat import Heartbeat


def rows(database: Database) -> list[tuple[str, str, dict[str, object]]]:
    """Return the processes that are present."""
    with database.reading() as session:
        return [(row.id, row.role, row.about) for row in session.scalars(select(Worker))]


def test_presence_is_seen_while_the_process_lives_and_not_after(database: Database) -> None:
    """The row exists at once, and an orderly stop removes it."""
    with Heartbeat(database, "worker", "worker@here", lambda: {"model": "m"}):
        assert rows(database) == [("worker@here", "worker", {"model": "m"})]
    assert rows(database) == []


def test_presence_tells_what_the_process_does_now(database: Database) -> None:
    """Each heartbeat reads the process's state again."""
    counts = iter([1, 2])
    with Heartbeat(database, "listener", "listener@here", lambda: {"count": next(counts)}) as heartbeat:
        heartbeat.write()
        assert rows(database) == [("listener@here", "listener", {"count": 2})]

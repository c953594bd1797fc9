"""The databases that the benchmarks fill: empty, durable, and on this machine's disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.commands.demo.postgres import running_postgres


@contextmanager
def durable_database(kind: str, folder: str) -> Iterator[str]:
    """The URL of an empty SQLite database in a folder, or of a PostgreSQL one on a separate server."""
    if kind == "sqlite":
        yield f"sqlite:///{Path(folder) / 'agent.db'}"
        return
    with running_postgres(durable=True) as server:
        yield server.url(server.create())

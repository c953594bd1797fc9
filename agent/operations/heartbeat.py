"""Heartbeats: every process keeps one row in `workers` with its identity and what it is doing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agent.database.session import Database, database_now
from agent.database.tables import Worker
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger

EVERY_S = 5.0


class Heartbeat:
    """Writes this process's row at once, every few seconds from a thread, and removes it at the end."""

    def __init__(
        self, database: Database, role: str, owner: str, about: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._database = database
        self._role = role
        self._owner = owner
        self._about = about
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._log = get_logger(role)

    def __enter__(self) -> Heartbeat:
        """Write the first heartbeat and start the thread."""
        self.write()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the thread and remove the row, because an orderly end is not a failure."""
        self._stop.set()
        self._thread.join()
        try:
            with self._database.transaction() as session:
                row = session.get(Worker, self._owner)
                if row is not None:
                    session.delete(row)
        except DatabaseUnavailable as error:
            self._log.warning("heartbeat_not_written", code=error.code)

    def write(self) -> None:
        """Write one heartbeat.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self._database.transaction() as session:
            now = database_now(session)
            row = session.get(Worker, self._owner)
            if row is None:
                row = Worker(
                    id=self._owner,
                    role=self._role,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    about={},
                    started_at=now,
                    seen_at=now,
                )
                session.add(row)
            row.about = dict(self._about())
            row.seen_at = now

    def _beat(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.write()
            except DatabaseUnavailable as error:
                # The next heartbeat tries again; the process itself has the same problem and reports it.
                self._log.warning("heartbeat_not_written", code=error.code)

"""Notifications: a process that adds work to the database wakes the processes that wait for it. PostgreSQL
only. It saves the wait until the next poll, and nothing depends on it: a notification may be lost, arrive
twice or find nothing to do. Polling alone is sufficient, and SQLite has nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.foundation.log import get_logger

JOBS = "echo_agent_jobs"
DELIVERIES = "echo_agent_deliveries"
# How soon (s) the listening thread notices that it should stop, and reconnects after a lost connection.
STOP_WITHIN_S = 0.5
AGAIN_AFTER_S = 5.0


def notify(session: Session, channel: str) -> None:
    """Wake the listeners of a channel once when the session's transaction commits, however often called."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})


class Waker:
    """Calls `wake` from a thread of its own when the channel is notified; does nothing on SQLite."""

    def __init__(self, database: Database, channel: str, wake: Callable[[], None]) -> None:
        self._database, self._channel, self._wake = database, channel, wake
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
        self._log = get_logger("wakeup")

    def __enter__(self) -> Self:
        """Start listening."""
        if not self._database.is_sqlite:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        import psycopg  # only here: it takes its time, and a service on SQLite does not need it

        while not self._stop.is_set():
            try:
                self._listen()
            except (SQLAlchemyError, psycopg.Error) as error:
                self._log.warning("wakeup_lost", error_type=type(error).__name__)
                self._stop.wait(AGAIN_AFTER_S)

    def _listen(self) -> None:
        with self._database.engine.connect() as pooled:
            driver: Any = pooled.connection.driver_connection
            # A listening connection is not returned to the pool; it is detached, and closed at the end.
            pooled.detach()
            driver.autocommit = True
            driver.execute(f"LISTEN {self._channel}".encode())
            # Work added before this moment caused no notification here.
            self._wake()
            while not self._stop.is_set():
                for _notification in driver.notifies(timeout=STOP_WITHIN_S, stop_after=1):
                    self._wake()

"""A tap on the shoulder: whoever puts work into the database wakes those who wait for it. PostgreSQL alone.

It saves the wait until the next poll, and nothing rests on it: a notification may be lost, come twice or
find nothing to do. The truth is what a poll finds; SQLite has only the polls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.foundation.log import get_logger

JOBS = "echo_agent_jobs"
DELIVERIES = "echo_agent_deliveries"
# How long the listening thread takes to notice that it should end, and a lost connection to be made anew.
STOP_WITHIN_S = 0.5
AGAIN_AFTER_S = 5.0


def notify(session: Session, channel: str) -> None:
    """Wake the listeners of a channel when the session's transaction commits; once, however often asked."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})


class Waker:
    """Calls `wake` from a thread of its own when somebody has notified the channel; nothing on SQLite."""

    def __init__(self, database: Database, channel: str, wake: Callable[[], None]) -> None:
        self._database, self._channel, self._wake = database, channel, wake
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
        self._log = get_logger("wakeup")

    def __enter__(self) -> Self:
        """Start to listen."""
        if not self._database.is_sqlite:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Listen no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except (SQLAlchemyError, psycopg.Error) as error:
                self._log.warning("wakeup_lost", error_type=type(error).__name__)
                self._stop.wait(AGAIN_AFTER_S)

    def _listen(self) -> None:
        with self._database.engine.connect() as pooled:
            driver: Any = pooled.connection.driver_connection
            # A connection that listens goes back to nobody: the pool forgets it, and it closes at the end.
            pooled.detach()
            driver.autocommit = True
            driver.execute(f"LISTEN {self._channel}".encode())
            # Whatever came before this moment was notified to nobody.
            self._wake()
            while not self._stop.is_set():
                for _notification in driver.notifies(timeout=STOP_WITHIN_S, stop_after=1):
                    self._wake()

"""Audit events for the start and stop of each process, and for the configuration in force."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings


@contextmanager
def audited(
    database: Database, settings: Settings, role: str, actor: str, restarting: Callable[[], bool]
) -> Iterator[None]:
    """Record the start now, the stop at the end, and a new configuration if the process restarts. A digest
    identifies the settings; it changes with any value.

    Raises:
        DatabaseUnavailable: the start could not be recorded; nothing was started.
    """
    details = {
        "role": role,
        "settings": hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16],
        "version": version("echo-agent"),
    }
    with database.transaction() as session:
        record(session, Event(action=Action.START, actor=actor, details=details))
    try:
        yield
    finally:
        try:
            with database.transaction() as session:
                if restarting():
                    record(session, Event(action=Action.CONFIGURATION, actor=actor, details={"role": role}))
                record(session, Event(action=Action.STOP, actor=actor, details={"role": role}))
        except DatabaseUnavailable as error:
            # The process ends anyway; the next start shows that no stop was recorded.
            get_logger(role).warning("audit_missed", code=error.code)

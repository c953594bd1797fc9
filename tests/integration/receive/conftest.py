"""A running listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.database.audit.record import Event
from agent.database.session import Database
from agent.foundation.settings.tree import ListenerSettings, StudySettings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.receive.scp import StorageScp
from tests.integration.receive.peer import Listener

Start = Callable[..., Listener]


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Iterator[Start]:
    """Start a listener with these settings."""
    started: list[Listener] = []

    def make(*, min_free_mb: float = 0, **values: Any) -> Listener:
        settings = ListenerSettings(**({"port": 0, "pdu_timeout_s": 2, "acse_timeout_s": 2} | values))
        store = InstanceStore(tmp_path / "instances", min_free_mb)
        noted: list[Event] = []
        scp = StorageScp(settings, store, Intake(database, StudySettings()), note=noted.append)
        listener = Listener(
            scp=scp, store=store, database=database, port=scp.start(), settings=settings, noted=noted
        )
        started.append(listener)
        return listener

    yield make
    for listener in started:
        listener.close()

"""A worker for the tests, and access to what it has written."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.tree import Settings

Film = Callable[..., Dataset]


def worker(house: Any, settings: Settings, reporter: Any, owner: str = "w1") -> DraftingWorker:
    """A worker."""
    return DraftingWorker(house.database, house.store, settings, reporter, owner=owner, chance=Random(1))


def rows(database: Database, table: Any) -> list[Any]:
    """All rows of a table, in order."""
    with database.transaction() as session:
        return list(session.scalars(select(table).order_by(table.id)))


def of(study: Any) -> str:
    """The Study Instance UID of the study that the network is shown."""
    return str(study.images[0].header.StudyInstanceUID)

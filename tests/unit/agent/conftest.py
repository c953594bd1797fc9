"""Shared by the tests of the service: encoded films, a database with a store, and a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset

from agent.database.session import Database
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from tests.support.films import bare_film, dataset_bytes
from tests.support.house import LOOPBACK, FakeReporter, House, identity, image

ChestBytes = Callable[..., bytes]


@pytest.fixture(scope="session")
def chest_bytes() -> ChestBytes:
    """Make the dataset of a small chest radiograph in Explicit VR Little Endian; keywords change it."""
    return lambda **changes: dataset_bytes(bare_film(**changes))


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    """An empty database with its store."""
    settings = Settings()
    store = InstanceStore(tmp_path / "instances", 0)
    return House(database=database, store=store, intake=Intake(database, settings.studies))


@pytest.fixture
def settings() -> Settings:
    """Settings with one destination on this machine."""
    return Settings(destinations=(LOOPBACK,))


@pytest.fixture
def film() -> Callable[..., Dataset]:
    """Make a small chest film: `film(study, number, **attributes)`."""
    return image


@pytest.fixture
def reporter() -> FakeReporter:
    """A fake network."""
    return FakeReporter()


@pytest.fixture
def demonstration_reporter() -> FakeReporter:
    """The same fake as a demonstration model."""
    return FakeReporter(identity=identity(demonstration=True))

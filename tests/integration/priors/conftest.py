"""A site whose archive is a real Orthanc or a misbehaving one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from agent.commands.demo.orthanc import Orthanc
from agent.commands.demo.sending import parcel_of, send
from agent.database.session import Database
from agent.foundation.settings.tree import ArchiveSettings
from agent.objects.store import InstanceStore
from tests.integration.priors.site import PRIORS, FakeArchive, Site, running_site

Keep = Callable[..., None]


@pytest.fixture(autouse=True)
def no_patient_in_the_logs(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Whatever an archive does, no output and no log contains the patient's name."""
    yield
    said = capfd.readouterr()
    assert "CANARY" not in said.out + said.err + caplog.text


@pytest.fixture
def archived(orthanc: Orthanc) -> Keep:
    """Store objects in Orthanc."""

    def keep(*datasets: Dataset) -> None:
        parcels = [parcel_of(dataset, "object") for dataset in datasets]
        sent = send(parcels, host=orthanc.host, port=orthanc.port, called=orthanc.ae_title)
        assert [one.status for one in sent] == [0] * len(datasets)

    return keep


@pytest.fixture
def site(database: Database, tmp_path: Path, orthanc: Orthanc, free_port: int) -> Iterator[Site]:
    """A site whose archive is Orthanc, which knows us as a client and as a move destination."""
    orthanc.put("/modalities/agent", ["ECHO_AGENT", "127.0.0.1", free_port])
    orthanc.put("/modalities/priors", [PRIORS, "127.0.0.1", free_port])
    archive = ArchiveSettings(host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title)
    store = InstanceStore(tmp_path / "instances", 0)
    with running_site(database, store, archive, free_port) as running:
        yield running


@pytest.fixture
def site_with(database: Database, tmp_path: Path, free_port: int) -> Iterator[Callable[..., Site]]:
    """Make a site with the given archive."""
    with ExitStack() as stack:

        def make(archive: FakeArchive | ArchiveSettings, **priors: Any) -> Site:
            if isinstance(archive, FakeArchive):
                archive.to = free_port
                archive = stack.enter_context(archive.running())
            store = InstanceStore(tmp_path / "instances", 0)
            return stack.enter_context(running_site(database, store, archive, free_port, **priors))

        yield make

"""Before the first night, `doctor` reports what would prevent a backfill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from agent.commands.demo.orthanc import Orthanc, free_ports
from agent.commands.doctor_backfill import backfill_found
from agent.foundation.settings.tree import AllowedPeer, ArchiveSettings, ListenerSettings, Settings
from tests.integration.backfill.test_backfill import FAST, BackfillSettings, settings_for

pytestmark = pytest.mark.integration


def found(settings: Settings) -> tuple[str, str]:
    """The findings of `doctor` for the archive in the settings."""
    assert settings.archive is not None
    return backfill_found(settings, settings.archive, 5.0)


@contextmanager
def choosy_archive(destination: tuple[str, int] | None) -> Iterator[ArchiveSettings]:
    """An archive with no studies that knows one destination, or none (it answers 0xA801)."""
    entity = AE("FAKE")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    port = free_ports(1)[0]

    def move(event: evt.Event) -> Iterator[Any]:
        yield destination or (None, None)
        yield 0

    handlers: list[Any] = [(evt.EVT_C_FIND, lambda _event: iter(())), (evt.EVT_C_MOVE, move)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield ArchiveSettings(host="127.0.0.1", port=port, ae_title="FAKE", timeout_s=20)
    finally:
        server.shutdown()


@pytest.mark.parametrize("retrieve", ["c-move", "c-get"])
def test_archive_that_does_not_know_the_destination(free_port: int, retrieve: str) -> None:
    """The AE title to be registered is named, with our port; C-GET needs none."""
    with choosy_archive(None) as archive:
        settings = Settings(
            listener=ListenerSettings(port=free_port),
            archive=archive,
            backfill=BackfillSettings(**(FAST | {"retrieve": retrieve})),
        )
        words, remedy = found(settings)
    if retrieve == "c-get":
        assert remedy == ""
    else:
        assert ("ECHO_BACKFILL" in words, str(free_port) in remedy) == (True, True)


def test_archive_that_does_not_tell_is_not_called_right(orthanc: Orthanc, free_port: int) -> None:
    """Orthanc returns the same status for an unknown study and an unknown destination."""
    words, remedy = found(settings_for(orthanc, free_port))
    assert (remedy, "does not tell" in words) == ("", True)


def test_archive_that_the_listener_would_refuse(orthanc: Orthanc, free_port: int) -> None:
    """An archive outside the allow-list could be queried, but could not send."""
    allow = (AllowedPeer(ae_title="CT1", address="10.0.0.1"),)
    settings = settings_for(orthanc, free_port).model_copy(
        update={"listener": ListenerSettings(port=free_port, allow=allow)}
    )
    assert "listener.allow" in found(settings)[1]


def test_archive_that_is_not_there(free_port: int) -> None:
    """It is reported, with what to check."""
    archive = ArchiveSettings(host="127.0.0.1", port=free_port, ae_title="GONE", timeout_s=2)
    words, remedy = found(Settings(archive=archive, backfill=BackfillSettings(**FAST)))
    assert ("cannot be reached" in words, "look at its log" in remedy) == (True, True), words

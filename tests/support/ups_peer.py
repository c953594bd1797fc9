"""Peers of the worklist: how we call it, and a subscriber that listens for events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.sop_class import UnifiedProcedureStepEvent  # type: ignore[attr-defined]

from agent.foundation.settings.ups import UpsManagerPeer, UpsPeer


def peer(port: int, ae_title: str = "ECHO_UPS") -> UpsPeer:
    """Return a worklist on loopback."""
    return UpsPeer(host="127.0.0.1", port=port, ae_title=ae_title, calling_ae_title="TESTER")


def manager_peer(port: int, **values: object) -> UpsManagerPeer:
    """Return a worklist on loopback that we perform for."""
    return UpsManagerPeer.model_validate(
        {"name": "ris", "host": "127.0.0.1", "port": port, "ae_title": "ECHO_UPS", **values}
    )


@dataclass
class Subscriber:
    """A pynetdicom AE that takes events: (type, UID, information) in order of arrival."""

    port: int
    events: list[tuple[int, str, Dataset]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, timeout_s: float = 20) -> list[tuple[int, str]]:
        """Wait until so many events came; return type and UID of each."""
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.events) >= count, timeout_s)
            return [(kind, uid) for kind, uid, _ in self.events]


@contextmanager
def subscriber(ae_title: str = "READER") -> Iterator[Subscriber]:
    """Run a subscriber on a free port of loopback."""
    ae = AE(ae_title=ae_title)
    ae.add_supported_context(UnifiedProcedureStepEvent)
    found: list[Subscriber] = []

    def take(event: evt.Event) -> tuple[int, None]:
        one = found[0]
        request = event.request
        assert isinstance(request, N_EVENT_REPORT)
        assert request.EventTypeID is not None
        with one.arrived:
            one.events.append(
                (request.EventTypeID, str(request.AffectedSOPInstanceUID), event.event_information)
            )
            one.arrived.notify_all()
        return 0x0000, None

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    assert server is not None
    assert server.socket is not None
    found.append(Subscriber(port=int(server.socket.getsockname()[1])))
    try:
        yield found[0]
    finally:
        server.shutdown()

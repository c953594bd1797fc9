"""The reason of a rejected association is reported, however late our thread goes on."""

from __future__ import annotations

from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket

from agent.foundation.errors import DeliveryFailed
from agent.foundation.settings.tree import MwlSettings
from agent.network.store_scu import echo
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "after-the-close"])
@pytest.mark.parametrize(
    ("titles", "reason"),
    [
        (("NOBODY", "ECHO_AGENT"), "does not answer to the AE title"),
        (("PEER", "STRANGER"), "does not know our AE title"),
    ],
)
def test_rejection_is_reported_with_its_reason(
    free_port: int, monkeypatch: pytest.MonkeyPatch, titles: tuple[str, str], reason: str, late: bool
) -> None:
    """On a busy machine the rejection, and the end of the connection, may come before the thread that asked
    looks at the connection for the first time.
    """
    made = AssociationSocket.__init__

    def slow(self: AssociationSocket, assoc: Any, *arguments: Any, **options: Any) -> None:
        made(self, assoc, *arguments, **options)
        ready = self._ready.is_set

        def wait_for_the_end(timeout: float | None = None) -> bool:
            wait_for(lambda: ready() and not self._is_connected)
            return True

        if assoc.is_requestor:
            self._ready.wait = wait_for_the_end  # type: ignore[method-assign]

    peer = AE(ae_title="PEER")
    peer.add_supported_context(Verification)
    peer.require_called_aet, peer.require_calling_aet = True, ["ECHO_AGENT"]
    server = peer.start_server(("127.0.0.1", free_port), block=False)
    called, calling = titles
    settings = MwlSettings(host="127.0.0.1", port=free_port, ae_title=called, calling_ae_title=calling)
    if late:
        monkeypatch.setattr(AssociationSocket, "__init__", slow)
    try:
        with pytest.raises(DeliveryFailed, match=f"rejects the association: it {reason}"):
            echo(settings)
    finally:
        server.shutdown()

"""An acceptor's association with bounded parts, which sleeps until a message or its end comes.

Source: PS3.8 section 7 (association services), PS3.7 section 9.3 (DIMSE-C protocol).
"""

from __future__ import annotations

import socket
import threading
from typing import cast

from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from agent.receive.messages import BoundedMessages, InFlight
from agent.receive.upper_layer import BoundedUpperLayer, SignallingQueue
from agent.receive.wire import BoundedSocket, Bounds

# How often (s) to check the idle timer, and whether the upper layer has died silently.
_LONGEST_SLEEP_S = 0.25


class BoundedAssociation(Association):
    """One association requested by a peer; it runs in the thread that calls `run_reactor`."""

    def __init__(
        self,
        ae: ApplicationEntity,
        connection: socket.socket,
        request: bytes,
        bounds: Bounds,
        in_flight: InFlight,
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._woken = threading.Event()
        self._serving = False
        self.messages = BoundedMessages(self, bounds, in_flight)
        self.messages.msg_queue = SignallingQueue(self._woken.set)
        self.dimse = self.messages
        self.upper_layer = BoundedUpperLayer(self, bounds, self._woken.set)
        self.dul = self.upper_layer
        # The new upper layer's timers take their times from these.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout
        self.set_socket(BoundedSocket(self, connection, request, bounds))

    @property
    def busy(self) -> bool:
        """Whether a message is arriving, waits for its answer, or is being answered at this moment.

        A message's reservation is released before its response is sent: a shutdown that looked only at
        reservations would abort in between, and the sender would not learn that its object is stored.
        """
        return self._serving or self.messages.busy

    @property
    def violation(self) -> str | None:
        """Why the listener cut this association, or None."""
        return self.messages.violation or self.upper_layer.violation

    def _run_reactor(self) -> None:
        """Serve messages until the association ends."""
        while not self._kill:
            self._woken.wait(_LONGEST_SLEEP_S)
            self._woken.clear()
            self._serve_messages()
            if self.is_established and self.acse.is_release_requested():
                self.acse.send_release(is_response=True)
                self.is_released = True
                self.kill()
            elif self.acse.is_aborted():
                self.dul.receive_pdu(wait=False)
                self.is_aborted = True
                self.kill()
            elif not self.dul.is_alive():
                self.kill()
            elif self.dul.idle_timer_expired():
                self.abort()

    def _serve_messages(self) -> None:
        while not self._kill:
            context_id, message = self.dimse.get_msg(block=False)
            if message is None:
                return
            self._serving = True
            try:
                self._serve_request(message, cast(int, context_id))
            finally:
                self._serving = False

"""The association server: TLS handshake and first PDU in the connection's own thread, both on a deadline.

An `Association` exists only once a whole association request was read, so a peer that stays silent or sends
bytes one by one costs one small thread, which the ledger may evict. The association then runs in that
thread.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import partial
from socketserver import BaseServer
from typing import Any

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from agent.receive.association import BoundedAssociation
from agent.receive.association_request import (
    RequestMalformed,
    RequestRejected,
    abort_pdu,
    clean_request,
    rejection_pdu,
    titles,
)
from agent.receive.ledger import ConnectionLedger, PeerConnection
from agent.receive.messages import InFlight
from agent.receive.wire import Bounds, ProtocolViolation, receive_request


class BoundedServer(ThreadedAssociationServer):
    """A server that limits connections by the ledger, and reads by the bounds."""

    # Waiting connections in the kernel; the default of 5 drops bursts.
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        ssl_context: ssl.SSLContext | None,
        handlers: list[tuple[evt.EventType, Callable[[evt.Event], Any]]],
        *,
        ledger: ConnectionLedger,
        bounds: Bounds,
        in_flight: InFlight,
        request_timeout_s: float,
        handshake_timeout_s: float,
        on_event: Callable[[str, str], None],
        on_refused: Callable[[str, str, str, str], None],
        on_end: Callable[[BoundedAssociation], None],
    ) -> None:
        """Listen at `address`; on_event: called with each failure and its address; on_end: called at each
        association's end.

        on_refused: called with the reason, the address, and the AE titles of a refused request.
        """
        self.ledger = ledger
        self.bounds = bounds
        self.in_flight = in_flight
        self._tls = ssl_context
        self._request_timeout_s = request_timeout_s
        self._handshake_timeout_s = handshake_timeout_s
        self._on_event = on_event
        self._on_refused = on_refused
        self.on_end = on_end
        self.our_handlers = handlers
        self.open: dict[BoundedAssociation, PeerConnection] = {}
        # From accept() to the connection's thread.
        self._accepted: dict[Any, PeerConnection] = {}
        # The base class would run the handshake inside accept(), where one silent peer blocks all others.
        super().__init__(ae, address, ae_title, contexts, None, [], _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Enter the connection in the ledger, then continue in its own thread."""
        connection = self.ledger.open(client_address[0], partial(_cut, request))
        self._accepted[request] = connection
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection from the handshake to its end; no exception may escape."""
        connection = self._accepted.pop(request)
        active: Any = request
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                # The wrapper owns the descriptor from here on; it is closed below, handshake or not.
                active = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                connection.close = partial(_cut, active)
                active.settimeout(self._handshake_timeout_s)
                active.do_handshake()
            request_pdu = self._take_request(active, str(client_address[0]))
            if request_pdu is not None:
                _Handler(active, client_address, self).serve(connection, request_pdu)
        except ssl.SSLError:
            self._on_event("tls-failed", str(client_address[0]))
        except OSError:
            self._on_event("no-request", str(client_address[0]))
        except Exception:  # noqa: BLE001 - outermost: a peer may break pynetdicom, never the listener
            self._on_event("association-failed", str(client_address[0]))
        finally:
            self.ledger.close(connection)
            self.shutdown_request(active)

    def _take_request(self, connection: socket.socket, address: str) -> bytes | None:
        """Read the first PDU and return it cleaned; a request that cannot be negotiated is answered here.

        Raises:
            OSError: nothing came.
        """
        try:
            return clean_request(receive_request(connection, self._request_timeout_s)).pdu
        except RequestRejected as rejection:
            answer = rejection_pdu(*rejection.answer)
            self._on_refused(rejection.reason_code, address, rejection.calling, rejection.called)
        except ProtocolViolation as violation:
            answer = abort_pdu()
            self._on_refused(str(violation), address, *titles(violation.received))
        except RequestMalformed as error:
            answer = abort_pdu()
            self._on_refused(error.reason_code, address, error.calling, error.called)
        with suppress(OSError):  # it may have gone away; the refusal has been recorded
            connection.settimeout(self._request_timeout_s)
            connection.sendall(answer)
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count a connection that failed before its thread began; the base class would print it."""
        self._on_event("connection-failed", str(client_address[0]))

    def service_actions(self) -> None:
        """Nothing: the base class runs a full garbage collection here, which stops every association."""


class _Handler(RequestHandler):
    """Builds the association of one connection and runs it."""

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        # The base class would handle the request here; `serve` does, because it has more to pass on.
        self.request = request
        self.client_address = client_address
        self.server: BoundedServer = server  # type: ignore[assignment]

    def serve(self, connection: PeerConnection, request: bytes) -> None:
        """Run the association to its end in this thread."""
        server = self.server
        association = self._build(request)
        server.open[association] = connection
        try:
            association.run_reactor()
        finally:
            _cut(self.request)
            association.kill()
            association.messages.end()
            del server.open[association]
            server.on_end(association)

    def _build(self, request: bytes) -> BoundedAssociation:
        server, ae = self.server, self.ae
        association = BoundedAssociation(ae, self.request, request, server.bounds, server.in_flight)
        association._server = server
        acceptor = association.acceptor
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.maximum_length = ae.maximum_pdu_size
        acceptor.implementation_class_uid = ae.implementation_class_uid
        acceptor.implementation_version_name = ae.implementation_version_name
        acceptor.supported_contexts = deepcopy(server.contexts)
        association.requestor.address_info = self.remote
        for event, handler in server.our_handlers:
            association.bind(event, handler)
        return association


def _cut(connection: socket.socket) -> None:
    try:
        # Not SSLSocket's own: it would let its reader go on without the encryption.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already

"""Reading from a peer with bounds: on the time that a PDU may take, and on the length that it declares.

Sources: PS3.8 sections 9.3 (PDUs) and D.1 (maximum length).
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

MAXIMUM_PDU = 131072
# A request of 128 contexts with all our transfer syntaxes and every user item has about 120 kB.
MAXIMUM_REQUEST = 262144
# Release and abort have 4 bytes; a generous bound costs nothing.
_MAXIMUM_SHORT_PDU = 1024
HEADER = struct.Struct(">BxL")
REQUEST, DATA = 0x01, 0x04


class ProtocolViolation(OSError):
    """A peer declared more than it may send, or took longer than it may; the connection is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one association may take: seconds for a PDU, bytes for an object."""

    pdu_timeout_s: float
    network_timeout_s: float
    maximum_object: int


def receive_exactly(connection: socket.socket, count: int, deadline: float) -> bytearray:
    """Read `count` bytes before `deadline` (monotonic seconds); fewer when the peer closes.

    Raises:
        TimeoutError: the deadline passed first.
    """
    received = bytearray(count)
    return received[: _fill(connection, memoryview(received), deadline)]


def _fill(connection: socket.socket, view: memoryview, deadline: float) -> int:
    at = 0
    while at < len(view):
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError("the PDU did not arrive in time")
        connection.settimeout(rest)
        got = connection.recv_into(view[at:])
        if not got:
            break
        at += got
    return at


def receive_request(connection: socket.socket, timeout_s: float) -> bytes:
    """Read the first PDU of a connection, which must be an A-ASSOCIATE-RQ, and return its bytes.

    Raises:
        OSError: it is something else, longer than 256 kB, cut off, or not there in time.
    """
    deadline = time.monotonic() + timeout_s
    header = receive_exactly(connection, HEADER.size, deadline)
    if len(header) < HEADER.size:
        raise ProtocolViolation("closed without an association request")
    kind, length = HEADER.unpack(header)
    if kind != REQUEST or length > MAXIMUM_REQUEST:
        raise ProtocolViolation("the first PDU is no association request")
    body = receive_exactly(connection, length, deadline)
    if len(body) < length:
        raise ProtocolViolation("the association request is cut off")
    return bytes(header + body)


class BoundedSocket(AssociationSocket):
    """A connected socket whose first PDU has been read already.

    Without TLS the kernel watches the time (SO_RCVTIMEO, PS3.8's ARTIM is for the states), so that a whole
    PDU is one system call; with TLS each piece is read against a deadline.
    """

    def __init__(self, assoc: Association, connection: socket.socket, request: bytes, bounds: Bounds) -> None:
        self._pending = memoryview(request)
        self._bounds = bounds
        self._plain = not isinstance(connection, ssl.SSLSocket)
        # One buffer for all data PDUs: each is copied to its message before the next is read.
        self._buffer = bytearray(longest(DATA))
        self.timed_out = False
        if self._plain:
            connection.settimeout(None)
            _set_timeout(connection, socket.SO_RCVTIMEO, bounds.pdu_timeout_s)
            _set_timeout(connection, socket.SO_SNDTIMEO, bounds.network_timeout_s)
        super().__init__(assoc, client_socket=connection)

    @property
    def ready(self) -> bool:
        """Whether something can be read now, an end included."""
        connection = self.socket
        if connection is None:
            return False
        if self._pending or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        # Not select(), which knows no descriptor beyond 1023.
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, fewer when the peer closes; TimeoutError when they take too long."""
        if self._pending:
            taken, self._pending = self._pending[:nr_bytes], self._pending[nr_bytes:]
            return bytearray(taken)
        received = bytearray(nr_bytes)
        return received[: self._receive(memoryview(received))]

    def recv_data(self, nr_bytes: int) -> memoryview:
        """Read a data PDU's body into the one buffer; it holds until the next call."""
        view = memoryview(self._buffer)[:nr_bytes]
        return view[: self._receive(view)]

    def push_back(self, data: bytes | bytearray) -> None:
        """Let the next read begin with `data`."""
        self._pending = memoryview(bytes(data) + self._pending.tobytes())

    def send(self, bytestream: bytes) -> None:
        """Send, giving a peer that does not read the network timeout."""
        if self.socket is not None and not self._plain:
            self.socket.settimeout(self._bounds.network_timeout_s)
        super().send(bytestream)

    def _receive(self, view: memoryview) -> int:
        """Fill the view; return how much of it, less when the peer closed."""
        connection = self.socket
        if connection is None:
            return 0
        started = time.monotonic()
        deadline = started + self._bounds.pdu_timeout_s
        try:
            if not self._plain:
                return _fill(connection, view, deadline)
            got = connection.recv_into(view, len(view), socket.MSG_WAITALL)
        except (TimeoutError, BlockingIOError) as error:
            self.timed_out = True
            raise TimeoutError("the PDU did not arrive in time") from error
        if got < len(view) and time.monotonic() >= deadline:
            self.timed_out = True
            raise TimeoutError("the PDU did not arrive in time")
        return got


def _set_timeout(connection: socket.socket, option: int, seconds: float) -> None:
    whole, rest = divmod(seconds, 1)
    connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", int(whole), int(rest * 1e6)))


def longest(kind: int) -> int:
    """Return how many bytes a PDU of this type may declare."""
    if kind == DATA:
        return MAXIMUM_PDU + 64  # some peers count the header
    return MAXIMUM_REQUEST if kind == REQUEST else _MAXIMUM_SHORT_PDU

"""Reads from a peer within limits on the duration and the declared length of a PDU.

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
# The most bytes that an association reads ahead; the longest PDU fits.
_READ_AHEAD = 2 * MAXIMUM_REQUEST
# Release and abort have 4 bytes; a generous bound costs nothing.
_MAXIMUM_SHORT_PDU = 1024
HEADER = struct.Struct(">BxL")
REQUEST, DATA = 0x01, 0x04


class ProtocolViolation(OSError):
    """A peer exceeded the allowed length or time; the connection is closed."""

    def __init__(self, reason_code: str, received: bytes = b"") -> None:
        """Keep what arrived of a request, which may name the sender."""
        super().__init__(reason_code)
        self.received = received


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one association: seconds for a PDU, bytes for an object."""

    pdu_timeout_s: float
    network_timeout_s: float
    maximum_object: int


def receive_request(connection: socket.socket, timeout_s: float) -> bytes:
    """Read the first PDU of a connection, which must be an A-ASSOCIATE-RQ, and return its bytes.

    Raises:
        ProtocolViolation: it is something else, longer than 256 kB, cut off, or not whole in time; its text
            is a reason code.
        OSError: nothing came at all.
    """
    deadline = time.monotonic() + timeout_s
    received = bytearray()
    _receive(connection, received, HEADER.size, deadline)
    kind, length = HEADER.unpack(received)
    if kind != REQUEST or length > MAXIMUM_REQUEST:
        raise ProtocolViolation("no-association-request")
    _receive(connection, received, HEADER.size + length, deadline)
    return bytes(received)


def _receive(connection: socket.socket, received: bytearray, count: int, deadline: float) -> None:
    """Read until there are `count` bytes, before `deadline` (monotonic seconds).

    Raises:
        ProtocolViolation: the peer closed, or time ran out, after some bytes.
        OSError: the same, before the first one.
    """
    while len(received) < count:
        try:
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise TimeoutError("the PDU did not arrive in time")
            connection.settimeout(rest)
            piece = connection.recv(count - len(received))
            if not piece:
                raise ConnectionAbortedError("the peer has closed the connection")
        except OSError as error:
            if not received:
                raise
            reason_code = "request-timeout" if isinstance(error, TimeoutError) else "request-cut-off"
            raise ProtocolViolation(reason_code, bytes(received)) from error
        received += piece


class BoundedSocket(AssociationSocket):
    """A connected socket that reads ahead: each system call releases the interpreter lock, so fewer calls are
    faster.

    `recv_data` returns a view that is valid until the next read. Without TLS the kernel limits the
    time of a call (SO_RCVTIMEO); the time of a whole read is limited here.
    """

    def __init__(self, assoc: Association, connection: socket.socket, request: bytes, bounds: Bounds) -> None:
        self._bounds = bounds
        self._plain = not isinstance(connection, ssl.SSLSocket)
        self._buffer = bytearray(_READ_AHEAD)
        self._view = memoryview(self._buffer)
        # The first PDU has been read already.
        self._start, self._end = 0, len(request)
        self._view[: self._end] = request
        self.timed_out = False
        if self._plain:
            connection.settimeout(None)
            _set_timeout(connection, socket.SO_RCVTIMEO, bounds.pdu_timeout_s)
            _set_timeout(connection, socket.SO_SNDTIMEO, bounds.network_timeout_s)
        super().__init__(assoc, client_socket=connection)

    @property
    def ready(self) -> bool:
        """Whether something can be read now, including the end."""
        connection = self.socket
        if connection is None:
            return False
        if self._end > self._start or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        # select() cannot handle descriptors above 1023.
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, fewer when the peer closes; TimeoutError when they take too long."""
        return bytearray(self.recv_data(nr_bytes))

    def recv_data(self, nr_bytes: int) -> memoryview:
        """Read `nr_bytes` (at most 512 kB) without a copy, fewer when the peer closes.

        Raises:
            TimeoutError: they took longer than a PDU may.
        """
        if self._end - self._start < nr_bytes:
            self._fill(nr_bytes)
        end = min(self._start + nr_bytes, self._end)
        taken = self._view[self._start : end]
        self._start = end
        return taken

    def unread(self, count: int) -> None:
        """Make the next read begin `count` bytes earlier; nothing else may have been read since."""
        self._start -= count

    def send(self, bytestream: bytes) -> None:
        """Send, giving a peer that does not read the network timeout."""
        if self.socket is not None and not self._plain:
            self.socket.settimeout(self._bounds.network_timeout_s)
        super().send(bytestream)

    def _fill(self, count: int) -> None:
        """Read until there are `count` bytes, or the peer closes."""
        left = self._end - self._start
        if left == 0 or self._start + count > len(self._buffer):
            self._view[:left] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, left
        deadline = time.monotonic() + self._bounds.pdu_timeout_s
        try:
            while self._end - self._start < count and self.socket is not None:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise TimeoutError("the PDU did not arrive in time")
                if not self._plain:
                    self.socket.settimeout(rest)
                got = self.socket.recv_into(self._view[self._end :])
                if not got:
                    return
                self._end += got
        except (TimeoutError, BlockingIOError) as error:
            self.timed_out = True
            raise TimeoutError("the PDU did not arrive in time") from error


def _set_timeout(connection: socket.socket, option: int, seconds: float) -> None:
    whole, rest = divmod(seconds, 1)
    connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", int(whole), int(rest * 1e6)))


def longest(kind: int) -> int:
    """Return how many bytes a PDU of this type may declare."""
    if kind == DATA:
        return MAXIMUM_PDU + 64  # some peers count the header
    return MAXIMUM_REQUEST if kind == REQUEST else _MAXIMUM_SHORT_PDU

"""pynetdicom's upper layer with bounds: on a PDU's length, on the time it may take, on an object's size.

Three parts of an association are replaced by subclasses: the socket (reads against a deadline and in large
pieces), the upper layer (checks the declared length before it reads) and the message provider (bounds what
an object may grow to). Sources: PS3.8 sections 9.3 (PDUs) and D.1 (maximum length).
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

MAXIMUM_PDU = 131072
# A request of 128 contexts with all our transfer syntaxes and every user item has about 120 kB.
MAXIMUM_REQUEST = 262144
# Release and abort have 4 bytes; a generous bound costs nothing.
_MAXIMUM_SHORT_PDU = 1024
_HEADER = struct.Struct(">BxL")
_REQUEST, _DATA = 0x01, 0x04
_KNOWN_PDUS = frozenset(range(0x01, 0x08))
# Commands are a few hundred bytes; more than this (bytes) is an attack.
_MAXIMUM_COMMAND = 65536
# No asynchronous operations are negotiated; a peer that sends on without waiting is cut.
_MAXIMUM_UNSERVED = 8


class ProtocolViolation(OSError):
    """A peer declared more than it may send, or took longer than it may; the connection is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one association may take: seconds for a PDU, bytes for an object."""

    pdu_timeout_s: float
    network_timeout_s: float
    maximum_object: int


class InFlight:
    """The bytes of all objects that are arriving, over all associations."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._sum = 0

    def take(self, count: int) -> bool:
        """Reserve bytes, or return False: they would be too many."""
        with self._lock:
            if self._sum + count > self._maximum:
                return False
            self._sum += count
            return True

    def give_back(self, count: int) -> None:
        """Release reserved bytes."""
        with self._lock:
            self._sum -= count

    @property
    def total(self) -> int:
        """Bytes reserved at this moment."""
        with self._lock:
            return self._sum


def receive_exactly(connection: socket.socket, count: int, deadline: float) -> bytearray:
    """Read `count` bytes before `deadline` (monotonic seconds); fewer when the peer closes.

    Raises:
        TimeoutError: the deadline passed first.
    """
    received = bytearray(count)
    at = 0
    with memoryview(received) as view:
        while at < count:
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise TimeoutError("the PDU did not arrive in time")
            connection.settimeout(rest)
            got = connection.recv_into(view[at:])
            if not got:
                break
            at += got
    return received[:at] if at < count else received


def receive_request(connection: socket.socket, timeout_s: float) -> bytes:
    """Read the first PDU of a connection, which must be an A-ASSOCIATE-RQ, and return its bytes.

    Raises:
        OSError: it is something else, longer than 256 kB, cut off, or not there in time.
    """
    deadline = time.monotonic() + timeout_s
    header = receive_exactly(connection, _HEADER.size, deadline)
    if len(header) < _HEADER.size:
        raise ProtocolViolation("closed without an association request")
    kind, length = _HEADER.unpack(header)
    if kind != _REQUEST or length > MAXIMUM_REQUEST:
        raise ProtocolViolation("the first PDU is no association request")
    body = receive_exactly(connection, length, deadline)
    if len(body) < length:
        raise ProtocolViolation("the association request is cut off")
    return bytes(header + body)


class BoundedSocket(AssociationSocket):
    """A connected socket whose first PDU has been read already."""

    def __init__(self, assoc: Association, connection: socket.socket, request: bytes, bounds: Bounds) -> None:
        self._pending = memoryview(request)
        self._bounds = bounds
        self.deadline = time.monotonic() + bounds.pdu_timeout_s
        self.timed_out = False
        super().__init__(assoc, client_socket=connection)

    @property
    def ready(self) -> bool:
        """Whether something can be read now."""
        return bool(self._pending) or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, fewer when the peer closes; TimeoutError after the PDU's deadline."""
        if self._pending:
            taken, self._pending = self._pending[:nr_bytes], self._pending[nr_bytes:]
            return bytearray(taken)
        if self.socket is None:
            return bytearray()
        try:
            return receive_exactly(self.socket, nr_bytes, self.deadline)
        except TimeoutError:
            self.timed_out = True
            raise

    def push_back(self, data: bytes | bytearray) -> None:
        """Let the next read begin with `data`."""
        self._pending = memoryview(bytes(data) + self._pending.tobytes())

    def send(self, bytestream: bytes) -> None:
        """Send, giving a peer that does not read the network timeout."""
        if self.socket is not None:
            self.socket.settimeout(self._bounds.network_timeout_s)
        super().send(bytestream)


class BoundedUpperLayer(DULServiceProvider):
    """The upper layer's reactor; a PDU that declares too much, or is late, ends the connection unread."""

    def __init__(self, assoc: Association, bounds: Bounds) -> None:
        super().__init__(assoc)
        self.daemon = True
        self._bounds = bounds
        self.violation: str | None = None

    def run_reactor(self) -> None:
        """Run until the connection ends."""
        try:
            super().run_reactor()
        except Exception:  # noqa: BLE001 - the state machine raises on any sequence that it does not know
            self.violation = "protocol-error"
            self.kill_dul()
            if self.socket is not None:
                self.socket.close()

    def _read_pdu_data(self) -> None:
        """Check the header of the next PDU, then let the base class read and decode it."""
        connection = self.socket
        if not isinstance(connection, BoundedSocket):
            return
        connection.deadline = time.monotonic() + self._bounds.pdu_timeout_s
        try:
            header = connection.recv(_HEADER.size)
        except OSError:
            self._cut("pdu-timeout" if connection.timed_out else None)
            return
        if len(header) < _HEADER.size:
            self.event_queue.put("Evt17")
            return
        kind, length = _HEADER.unpack(header)
        if kind in _KNOWN_PDUS and length > _longest(kind):
            self._cut("pdu-too-long")
            return
        connection.push_back(header)
        super()._read_pdu_data()
        if connection.timed_out:
            self.violation = "pdu-timeout"

    def _cut(self, violation: str | None) -> None:
        self.violation = violation
        self.event_queue.put("Evt17")


def _longest(kind: int) -> int:
    if kind == _DATA:
        return MAXIMUM_PDU + 64  # some peers count the header
    return MAXIMUM_REQUEST if kind == _REQUEST else _MAXIMUM_SHORT_PDU


class BoundedMessages(DIMSEServiceProvider):
    """Assembles messages; what grows beyond its own bound, or all objects' bound, ends the association."""

    def __init__(self, assoc: Association, bounds: Bounds, in_flight: InFlight) -> None:
        super().__init__(assoc)
        self._bounds = bounds
        self._in_flight = in_flight
        self._arriving = 0
        # Bytes of each whole message that was not served yet, in order.
        self._unserved: deque[int] = deque()
        self.violation: str | None = None
        # When (monotonic seconds) the latest message began to arrive.
        self.began_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether a message is arriving or waits for its answer."""
        return self.message is not None or bool(self._unserved)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add a P-DATA primitive to the message, unless it would grow too large."""
        if self.message is None:
            self.began_at = time.monotonic()
        count = sum(len(value) for _, value in primitive.presentation_data_value_list)
        violation = self._violated_by(count)
        if violation is not None:
            self.violation = violation
            # As a PDU that cannot be processed: the state machine sends an A-ABORT (PS3.8 9.2, Evt19);
            # then as if the peer had closed, because a flood would never let it wait for that.
            self.dul.event_queue.put("Evt19")
            self.dul.event_queue.put("Evt17")
            return
        self._arriving += count
        # Before the base class hands the whole message on, because it is served in another thread.
        self._unserved.append(self._arriving)
        super().receive_primitive(primitive)
        if self.message is None:
            self._arriving = 0
        else:
            self._unserved.pop()

    def served(self) -> None:
        """Give back what the message that was just answered had reserved."""
        if self._unserved:
            self._in_flight.give_back(self._unserved.popleft())

    def end(self) -> None:
        """Give back everything at the association's end."""
        self._in_flight.give_back(self._arriving + sum(self._unserved))
        self._arriving = 0
        self._unserved.clear()

    def _violated_by(self, count: int) -> str | None:
        message = self.message
        if message is not None and message.encoded_command_set.tell() > _MAXIMUM_COMMAND:
            return "command-too-long"
        if len(self._unserved) > _MAXIMUM_UNSERVED:
            return "too-many-unanswered"
        if self._arriving + count > self._bounds.maximum_object:
            return "object-too-large"
        return None if self._in_flight.take(count) else "too-much-in-flight"

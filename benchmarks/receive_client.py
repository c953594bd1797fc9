"""A C-STORE client with minimal overhead: PDUs are prepared beforehand, and only UIDs change.

The client must not dominate the measurement, so it uses no DICOM library: it patches two UIDs into prepared
PDUs, sends them in one piece and waits for the response. Sources: PS3.7 9.3.1, PS3.8 9.3.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
MAXIMUM_PDU = 131072
# UIDs of this form keep their length, so that they can be patched in place.
UID = "2.25.{:032d}"
MARK = UID.format(0).encode()
_RELEASE = struct.pack(">BxI4x", 5, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A Storage SCP; with a `path`, a STOW-RS server."""

    host: str
    port: int
    ae_title: str = ""
    path: str = ""


@dataclass(slots=True, kw_only=True)
class Measured:
    """The measurements: acknowledgement times (s, from the last byte sent to the status), and the total
    time.
    """

    seconds: float = 0.0
    acknowledgements: list[float] = field(default_factory=list)
    failures: int = 0


def measure(
    target: Target, *, size_bytes: int, associations: int, objects: int, nodelay: bool, seed: int
) -> Measured:
    """Send `objects` different objects over some associations at once."""
    numbers = itertools.count(seed * 1_000_000 + 1)
    result, lock = Measured(), threading.Lock()
    remaining = itertools.count()
    accepted = [_associated(target, nodelay) for _ in range(associations)]
    connections = [connection for connection, _ in accepted]
    template = _Template(size_bytes, min(longest for _, longest in accepted))

    def sender(connection: socket.socket) -> None:
        message = template.copy()
        while next(remaining) < objects:
            try:
                template.name(message, next(numbers))
                connection.sendall(message)
                sent = time.perf_counter()
                failed = _status(connection) != 0
            except OSError:
                with lock:
                    result.failures += 1
                return
            with lock:
                result.acknowledgements.append(time.perf_counter() - sent)
                result.failures += failed

    threads = [threading.Thread(target=sender, args=(one,), daemon=True) for one in connections]
    result.seconds = seconds_of(threads)
    for connection in connections:
        with connection, suppress(OSError):  # one that failed is counted already
            connection.sendall(_RELEASE)
    return result


def seconds_of(threads: Sequence[threading.Thread]) -> float:
    """Run threads until all have ended, and return how long that took."""
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


class _Template:
    """The PDUs of one C-STORE message, with marks where the UIDs go."""

    def __init__(self, size_bytes: int, maximum_pdu: int) -> None:
        command, dataset = _command(), dataset_of(size_bytes)
        message = _pdus(True, command, maximum_pdu) + _pdus(False, dataset, maximum_pdu)
        self._places = []
        at = message.find(MARK)
        while at >= 0:
            self._places.append(at)
            at = message.find(MARK, at + 1)
        self._message = message

    def copy(self) -> bytearray:
        """Return a private copy of the message, whose UIDs can be replaced repeatedly."""
        return bytearray(self._message)

    def name(self, message: bytearray, number: int) -> None:
        """Give a message the UIDs of one object, which is a separate study."""
        uid = UID.format(number).encode()
        for place in self._places:
            message[place : place + len(uid)] = uid


def _command() -> bytes:
    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    body = element(0x0002, CR_IMAGE.encode()) + element(0x0100, struct.pack("<H", 1))
    body += element(0x0110, struct.pack("<H", 1)) + element(0x0700, struct.pack("<H", 0))
    body += element(0x0800, struct.pack("<H", 0)) + element(0x1000, MARK)
    return element(0x0000, struct.pack("<I", len(body))) + body


def dataset_of(size_bytes: int) -> bytes:
    """Return a CR image of about this size, Explicit VR Little Endian, with marks where the UIDs go."""

    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    def number(tag: int, value: int) -> bytes:
        return element(tag, b"US", struct.pack("<H", value))

    side = max(int((size_bytes / 2) ** 0.5), 8)
    head = element(0x00080016, b"UI", CR_IMAGE.encode()) + element(0x00080018, b"UI", MARK)
    head += element(0x00080020, b"DA", b"20260101") + element(0x00080030, b"TM", b"120000")
    head += element(0x00080050, b"SH", b"A1") + element(0x00080060, b"CS", b"CR")
    head += element(0x00100010, b"PN", b"BENCHMARK^RECEIVE") + element(0x00100020, b"LO", b"P1")
    head += element(0x00180015, b"CS", b"CHEST") + element(0x00185101, b"CS", b"PA")
    head += element(0x0020000D, b"UI", MARK) + element(0x0020000E, b"UI", MARK)
    head += element(0x00200010, b"SH", b"1") + element(0x00200013, b"IS", b"1")
    head += number(0x00280002, 1) + element(0x00280004, b"CS", b"MONOCHROME2")
    head += number(0x00280010, side) + number(0x00280011, side)
    for tag, value in ((0x00280100, 16), (0x00280101, 12), (0x00280102, 11), (0x00280103, 0)):
        head += number(tag, value)
    pixels = side * side * 2
    return head + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, pixels) + bytes(pixels)


def _pdus(command: bool, body: bytes, maximum_pdu: int) -> bytes:
    size = maximum_pdu - 6
    pdus = []
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        control = (1 if command else 0) | (2 if at + size >= len(body) else 0)
        pdus.append(struct.pack(">BxIIBB", 4, len(piece) + 6, len(piece) + 2, 1, control) + piece)
    return b"".join(pdus)


def _associated(target: Target, nodelay: bool) -> tuple[socket.socket, int]:
    """Return the connection and the longest PDU that the server accepts (PS3.8 D.1)."""

    def item(kind: int, body: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(body)) + body

    context = struct.pack(">B3x", 1) + item(0x30, CR_IMAGE.encode()) + item(0x40, EXPLICIT.encode())
    user = item(0x50, item(0x51, struct.pack(">I", MAXIMUM_PDU)) + item(0x52, b"1.2.3"))
    body = struct.pack(">H2x16s16s32x", 1, target.ae_title.encode().ljust(16), b"BENCHMARK".ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + user
    connection = socket.create_connection((target.host, target.port), timeout=120)
    if nodelay:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(struct.pack(">BxI", 1, len(body)) + body)
    kind, answer = _read_pdu(connection)
    if kind != 2:
        connection.close()
        raise ConnectionRefusedError(f"the association was not accepted (PDU type {kind})")
    longest = struct.unpack_from(">I", answer, answer.rindex(b"\x51\x00\x00\x04") + 4)[0]
    return connection, min(longest or MAXIMUM_PDU, MAXIMUM_PDU)


def _status(connection: socket.socket) -> int:
    kind, body = _read_pdu(connection)
    if kind != 4:
        raise ConnectionAbortedError(f"PDU type {kind} instead of a response")
    at = 6
    while at < len(body):
        element, length = struct.unpack_from("<2xHI", body, at)
        if element == 0x0900:
            return int(struct.unpack_from("<H", body, at + 8)[0])
        at += 8 + length
    raise ConnectionAbortedError("a response without a status")


def _read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    header = _exactly(connection, 6)
    kind, length = struct.unpack(">BxI", header)
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise ConnectionAbortedError("the server closed the connection")
        received += piece
    return bytes(received)

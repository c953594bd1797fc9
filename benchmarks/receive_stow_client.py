"""A STOW-RS client with minimal overhead: the request is prepared beforehand, and only UIDs change.

Each connection sends one object in each request. Sources: PS3.18 10.5, PS3.10 7.1.
"""

from __future__ import annotations

import http.client
import itertools
import socket
import struct
import threading
import time

from benchmarks.receive_client import CR_IMAGE, EXPLICIT, MARK, UID, Measured, Target, dataset_of, seconds_of

BOUNDARY = "echo-benchmark-boundary"
MEDIA_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def part10(size_bytes: int, number: int) -> bytes:
    """Return a CR image as a file; its UIDs are derived from the number."""
    return _file(size_bytes).replace(MARK, UID.format(number).encode())


def measure_stow(target: Target, *, size_bytes: int, associations: int, objects: int, seed: int) -> Measured:
    """Send `objects` different objects over some connections at once."""
    numbers = itertools.count(seed * 1_000_000 + 1)
    result, lock, remaining = Measured(), threading.Lock(), itertools.count()
    edge = BOUNDARY.encode()
    ready = b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--%s--\r\n" % (
        edge,
        _file(size_bytes),
        edge,
    )
    places = _places(ready)

    def sender() -> None:
        body = bytearray(ready)
        connection = http.client.HTTPConnection(target.host, target.port, timeout=120)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while next(remaining) < objects:
                uid = UID.format(next(numbers)).encode()
                for place in places:
                    body[place : place + len(uid)] = uid
                connection.request("POST", target.path, body, {"Content-Type": MEDIA_TYPE})
                sent = time.perf_counter()
                answer = connection.getresponse()
                answer.read()
                with lock:
                    result.acknowledgements.append(time.perf_counter() - sent)
                    result.failures += answer.status != 200
        except (OSError, http.client.HTTPException):
            with lock:
                result.failures += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=sender, daemon=True) for _ in range(associations)]
    result.seconds = seconds_of(threads)
    return result


def _places(message: bytes) -> list[int]:
    """Return the positions of the UIDs."""
    places, at = [], message.find(MARK)
    while at >= 0:
        places.append(at)
        at = message.find(MARK, at + 1)
    return places


def _file(size_bytes: int) -> bytes:
    def element(number: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        size = struct.pack("<2xI", len(value)) if vr == b"OB" else struct.pack("<H", len(value))
        return struct.pack("<HH2s", 2, number, vr) + size + value

    meta = element(0x0001, b"OB", b"\0\1") + element(0x0002, b"UI", CR_IMAGE.encode())
    meta += element(0x0003, b"UI", MARK) + element(0x0010, b"UI", EXPLICIT.encode())
    meta += element(0x0012, b"UI", b"1.2.3")
    length = element(0x0000, b"UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + length + meta + dataset_of(size_bytes)

"""Finds out what is at a port that opens no association: nothing, no answer, a reset, or another protocol.

Each has a different remedy, and pynetdicom reports them all as "no association". Only `doctor` uses it:
further requests would not help a peer that is in trouble.
"""

from __future__ import annotations

import socket
import struct
import time
from enum import Enum

from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_REQUEST = 0x01
_PDUS = frozenset(range(0x02, 0x08))
_VERIFICATION, _IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"


class PortState(Enum):
    """The finding in words, and what to do about it."""

    UNKNOWN_HOST = ("its host name cannot be resolved", "correct `host`, or the name server")
    REFUSED = (
        "the connection is refused: the machine is there, and nothing listens at this port",
        "start the PACS's DICOM service, or correct `port`",
    )
    UNREACHABLE = (
        "the connection is not answered: no such machine, or a firewall drops it",
        "correct `host`; let the firewall pass this port from here",
    )
    SILENT = (
        "the port is open, but says nothing to an association request",
        "look at the PACS's log; a port forwarding without a target, or a service that hangs, does this",
    )
    CLOSED = (
        "the connection is closed without an answer to the association request",
        "check whether the PACS knows our AE title and this address, and whether the port wants TLS (`tls`)",
    )
    RESET = (
        "the connection is reset",
        "check whether the PACS or a firewall blocks this address; the PACS's log says more",
    )
    TLS = ("the port speaks TLS", "set `tls` for this destination, or use the PACS's port without TLS")
    OTHER = (
        "another protocol answers at this port, not DICOM",
        "correct `port`: web and HL7 interfaces have ports of their own",
    )
    DICOM = ("a DICOM service answers", "check the AE titles; the PACS must know ours and this address")

    @property
    def words(self) -> str:
        """What was found."""
        return self.value[0]

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.value[1]


def probe_port(host: str, port: int, *, calling: str, called: str, timeout_s: float) -> PortState:
    """Connect, request an association with C-ECHO, and return what answered; takes at most twice
    `timeout_s`.
    """
    try:
        connection = socket.create_connection((host, port), timeout=timeout_s)
    except socket.gaierror:
        return PortState.UNKNOWN_HOST
    except ConnectionRefusedError:
        return PortState.REFUSED
    except OSError:
        return PortState.UNREACHABLE
    with connection:
        try:
            connection.sendall(_request(calling, called))
            first = _first_bytes(connection, time.monotonic() + timeout_s)
        except TimeoutError:
            return PortState.SILENT
        except OSError:
            return PortState.RESET
    if not first:
        return PortState.CLOSED
    if first[0] in (0x15, 0x16) and first[1:2] == b"\x03":  # a TLS record: alert or handshake
        return PortState.TLS
    return PortState.DICOM if first[0] in _PDUS and first[1:2] == b"\0" else PortState.OTHER


def _first_bytes(connection: socket.socket, deadline: float) -> bytes:
    """Return the first two bytes; fewer when the peer closes."""
    got = b""
    while len(got) < 2:
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError
        connection.settimeout(rest)
        more = connection.recv(2 - len(got))
        if not more:
            break
        got += more
    return got


def _request(calling: str, called: str) -> bytes:
    """Return an A-ASSOCIATE-RQ that proposes verification (PS3.8 9.3.2)."""

    def item(kind: int, body: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(body)) + body

    titles = b"".join(one.strip().encode("ascii", "replace")[:16].ljust(16) for one in (called, calling))
    context = struct.pack(">B3x", 1) + item(0x30, _VERIFICATION) + item(0x40, _IMPLICIT)
    body = struct.pack(">H2x", 1) + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1")
    implementation = item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    implementation += item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
    body += item(0x20, context) + item(0x50, item(0x51, struct.pack(">I", 16384)) + implementation)
    return struct.pack(">BxI", _REQUEST, len(body)) + body

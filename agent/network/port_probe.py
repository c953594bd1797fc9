"""Finds out what is at a port that does not do what it should: nothing, no answer, another protocol.

Each has a different remedy, and libraries report them all as "no connection". Only `doctor` uses it:
further requests would not help a peer that is in trouble.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from contextlib import suppress
from enum import Enum
from urllib.parse import urlsplit

from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_REQUEST = 0x01
_PDUS = frozenset(range(0x02, 0x08))
_VERIFICATION, _IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"
# The start of an MLLP frame that never ends is not a message; a web server answers the empty lines.
HL7_OPENING = b"\x0b\r\n\r\n"
_HTTP_OPENING = b"OPTIONS * HTTP/1.0\r\n\r\n"
_LONGEST_MARK = 5


class PortState(Enum):
    """The finding in words, and what to do about it."""

    UNKNOWN_HOST = ("its host name cannot be resolved", "correct the host name, or the name server")
    REFUSED = (
        "the connection is refused: the machine is there, and nothing listens at this port",
        "start the service there, or correct the port",
    )
    UNREACHABLE = (
        "the connection is not answered: no such machine, or a firewall drops it",
        "correct the host; let the firewall pass this port from here",
    )
    SILENT = (
        "the port is open, but does not answer",
        "look at the log there; a port forwarding without a target, or a service that hangs, does this",
    )
    CLOSED = (
        "the connection is closed without an answer",
        "check whether it knows us (AE title, address), and whether the port wants TLS",
    )
    RESET = (
        "the connection is reset",
        "check whether it or a firewall blocks this address; the log there says more",
    )
    TLS = (
        "the port speaks TLS",
        "set TLS for it here (`tls`, or an https address), or use its port without TLS",
    )
    PLAIN = (
        "the port does not speak TLS",
        "use its port with TLS, or leave TLS out here (`tls`, or an http address)",
    )
    UNTRUSTED = (
        "its certificate is not trusted, or is for another name",
        "add its authority (REQUESTS_CA_BUNDLE), and use the name that is in the certificate",
    )
    DICOM = (
        "a DICOM service answers at this port",
        "correct the port; at a PACS check the AE titles: it must know ours and this address",
    )
    HL7 = ("an HL7 (MLLP) service answers at this port", "correct the port")
    HTTP = ("a web server answers at this port", "correct the port, or the path of the address")
    OTHER = ("another protocol answers at this port", "correct the port")

    @property
    def words(self) -> str:
        """What was found."""
        return self.value[0]

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.value[1]


def probe_dicom(
    host: str, port: int, *, calling: str, called: str, timeout_s: float, tls: bool = False
) -> PortState:
    """Request an association with C-ECHO, and return what answered."""
    return probe_port(host, port, _request(calling, called), timeout_s=timeout_s, tls=tls)


def probe_url(url: str, *, timeout_s: float) -> PortState:
    """Ask a web server for its options, over TLS with its certificate verified where the address is https."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    return probe_port(
        parts.hostname or "", port, _HTTP_OPENING, timeout_s=timeout_s, tls=secure, verified=secure
    )


def probe_port(
    host: str, port: int, opening: bytes, *, timeout_s: float, tls: bool = False, verified: bool = False
) -> PortState:
    """Connect, send the first bytes of a protocol, and return what answered; takes at most three times
    `timeout_s`.

    tls: after a handshake, in which the certificate must be one that web clients trust if `verified`.
    """
    try:
        connection = socket.create_connection((host, port), timeout=timeout_s)
    except (socket.gaierror, UnicodeError):
        return PortState.UNKNOWN_HOST
    except ConnectionRefusedError:
        return PortState.REFUSED
    except OSError:
        return PortState.UNREACHABLE
    with connection:
        if not tls:
            return probe_connection(connection, opening, timeout_s)
        try:
            with _context(verified).wrap_socket(connection, server_hostname=host) as secured:
                return probe_connection(secured, opening, timeout_s)
        except OSError as error:
            return _state_after(error)


def probe_connection(connection: socket.socket, opening: bytes, timeout_s: float) -> PortState:
    """Send the first bytes of a protocol over an open connection, and return what answered."""
    try:
        connection.sendall(opening)
        return _speaker(_first_bytes(connection, time.monotonic() + timeout_s))
    except OSError as error:
        return _state_after(error)


def _state_after(error: OSError) -> PortState:
    if isinstance(error, ssl.SSLCertVerificationError):
        return PortState.UNTRUSTED
    if isinstance(error, ssl.SSLEOFError):
        return PortState.CLOSED
    if isinstance(error, ssl.SSLError):
        # An alert is an answer in TLS: most often a server that wants our certificate.
        return PortState.TLS if "ALERT" in (error.reason or "") else PortState.PLAIN
    return PortState.SILENT if isinstance(error, TimeoutError) else PortState.RESET


def _context(verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # what our web clients trust

    bundle = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    )
    with suppress(OSError, ssl.SSLError):  # without it the certificate counts as not trusted
        folder = os.path.isdir(bundle)
        context.load_verify_locations(None if folder else bundle, bundle if folder else None)
    return context


def _speaker(first: bytes) -> PortState:
    """Return which protocol begins with these bytes."""
    if not first:
        return PortState.CLOSED
    if first[0] in (0x15, 0x16) and first[1:2] == b"\x03":  # a TLS record: alert or handshake
        return PortState.TLS
    if first == b"HTTP/":
        return PortState.HTTP
    if first[0] == 0x0B:
        return PortState.HL7
    return PortState.DICOM if first[0] in _PDUS and first[1:2] == b"\0" else PortState.OTHER


def _first_bytes(connection: socket.socket, deadline: float) -> bytes:
    """Return the first bytes of an answer; fewer when the peer closes, or says no more in time."""
    got = b""
    while len(got) < _LONGEST_MARK:
        rest = deadline - time.monotonic()
        try:
            if rest <= 0:
                raise TimeoutError
            connection.settimeout(rest)
            more = connection.recv(_LONGEST_MARK - len(got))
        except TimeoutError:
            if got:
                break
            raise
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

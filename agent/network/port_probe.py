"""Finds out why a port does not work: nothing listens, no answer, another protocol.

Each cause has a different remedy, but libraries report them all as "no connection". Only `doctor` uses it: a
peer in trouble should not get further requests.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.network.port_state import PortState as PortState
from agent.network.tls import WebContext
from agent.network.tls_fault import state_of_tls

_REQUEST = 0x01
_PDUS = frozenset(range(0x02, 0x08))
_VERIFICATION, _IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"
# An MLLP frame that never ends is not a message; a web server answers the empty lines.
HL7_OPENING = b"\x0b\r\n\r\n"
_HTTP_OPENING = b"OPTIONS * HTTP/1.0\r\n\r\n"
_LONGEST_MARK = 5
_PERHAPS_TLS = (PortState.CLOSED, PortState.RESET)
# In TLS 1.3 a server checks our certificate after the handshake; how long (s) to wait for its alert.
_VERDICT_S = 5.0


def probe_dicom(
    host: str, port: int, *, calling: str, called: str, timeout_s: float, tls: bool = False
) -> PortState:
    """Request an association with C-ECHO, and return what answered."""
    return probe_port(host, port, _request(calling, called), timeout_s=timeout_s, tls=tls)


def probe_url(
    url: str, *, timeout_s: float, context: WebContext | None = None, server_name: str | None = None
) -> PortState:
    """Ask a web server for its options, over TLS if the address is https.

    context: for an https address; without one the certificate is not verified. server_name: the name in the
    certificate, if it is not the address's.
    """
    parts = urlsplit(url)
    state = _probe_url(url, timeout_s=timeout_s, context=context, server_name=server_name)
    if parts.scheme == "http" and state in _PERHAPS_TLS:
        # A port with TLS that gets plain HTTP often says nothing.
        again = _probe_url(f"https{url[4:]}", timeout_s=timeout_s, context=None, server_name=None)
        return PortState.TLS if again in (PortState.HTTP, PortState.TLS) else state
    return state


def _probe_url(
    url: str, *, timeout_s: float, context: WebContext | None, server_name: str | None
) -> PortState:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    return probe_port(
        parts.hostname or "",
        port,
        _HTTP_OPENING,
        timeout_s=timeout_s,
        tls=secure,
        context=context if secure else None,
        server_name=server_name,
    )


def probe_port(
    host: str,
    port: int,
    opening: bytes,
    *,
    timeout_s: float,
    tls: bool = False,
    context: WebContext | None = None,
    server_name: str | None = None,
) -> PortState:
    """Connect, send the first bytes of a protocol, and return what answered; takes at most three times
    `timeout_s`.

    tls: do a TLS handshake first, with `context` if there is one; the state then says why it failed.
    server_name: the name in the certificate, if it is not `host`.
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
            return _meeting(partial(_answered, connection, opening, timeout_s), context)
        try:
            secured = (context or _unverified()).wrap_socket(connection, server_hostname=server_name or host)
        except OSError as error:
            return _met(error, context)
        with secured:
            if context is not None:
                early = _meeting(partial(_verdict, secured, min(_VERDICT_S, timeout_s)), context)
                if early is not PortState.SILENT:
                    return PortState.DROPPED if early in _PERHAPS_TLS else early
            state = _meeting(partial(_answered, secured, opening, timeout_s), context)
            return PortState.DROPPED if context is not None and state in _PERHAPS_TLS else state


def probe_connection(connection: socket.socket, opening: bytes, timeout_s: float) -> PortState:
    """Send the first bytes of a protocol over an open connection, and return what answered."""
    return _meeting(partial(_answered, connection, opening, timeout_s), None)


def _meeting(talk: Callable[[], PortState], context: WebContext | None) -> PortState:
    """Return the result of an exchange, or the state for the error that it ended with."""
    try:
        return talk()
    except OSError as error:
        return _met(error, context)


def _met(error: OSError, context: WebContext | None) -> PortState:
    if isinstance(error, ssl.SSLError):
        state = state_of_tls(error, shown=context is not None and context.shows)
        if context is not None or state is PortState.CLOSED:
            return state
        # An alert is an answer in TLS: most often a server that wants our certificate.
        return PortState.TLS if "ALERT" in (error.reason or "") else PortState.PLAIN
    return PortState.SILENT if isinstance(error, TimeoutError) else PortState.RESET


def _answered(connection: socket.socket, opening: bytes, timeout_s: float) -> PortState:
    connection.sendall(opening)
    return _speaker(_first_bytes(connection, time.monotonic() + timeout_s))


def _verdict(secured: ssl.SSLSocket, within_s: float) -> PortState:
    """Return what a server sends before any request: most send nothing."""
    return _speaker(_first_bytes(secured, time.monotonic() + within_s))


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _speaker(first: bytes) -> PortState:
    """Return the protocol whose messages begin with these bytes."""
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
    """Return the first bytes of an answer; fewer if the peer closes, or sends no more in time."""
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

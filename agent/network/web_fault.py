"""Why an HTTP request got no answer, or an answer that is not from the service: each cause with its remedy.
Pure.

The HTTP library wraps causes in several layers; only their types, and OpenSSL's numbers, are used.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, RemoteDisconnected

import requests
from urllib3.exceptions import NameResolutionError
from urllib3.util.ssl_match_hostname import CertificateError

from agent.network.port_state import PortState
from agent.network.tls_fault import state_of_tls

_NOWHERE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
# Texts in web servers' answers to plain HTTP at a TLS port, or to a client without a certificate.
_MARKS = (
    (b"plain http request was sent to https port", PortState.TLS),
    (b"speaking plain http to an ssl-enabled", PortState.TLS),
    (b"client sent an http request to an https server", PortState.TLS),
    (b"no required ssl certificate was sent", PortState.CERTIFICATE_WANTED),
    (b"the ssl certificate error", PortState.CERTIFICATE_REFUSED),
)
_MARKED_STATUSES = (400, 495, 496, 497)
_BROKEN_OFF = (PortState.CLOSED, PortState.RESET)
_LOOKED_AT = 4096
_STATUSES = {
    401: "it does not accept our credentials (`credentials`, or netrc)",
    403: "our credentials do not permit this there",
    407: "the HTTP proxy wants credentials (HTTPS_PROXY)",
}


def fault_words(error: BaseException, *, shown: bool) -> tuple[str, str]:
    """Return why a request got no answer, and what to do where that is known.

    shown: whether we have a certificate to present.
    """
    if isinstance(error, requests.ReadTimeout):
        return "it did not answer in time", ""
    state = fault_of(error, shown=shown)
    return ("no connection, or no answer in time", "") if state is None else state.value


def fault_of(error: BaseException, *, shown: bool) -> PortState | None:
    """Return the state of the port after a failed request; None if only the failure is known."""
    if isinstance(error, requests.exceptions.ProxyError):
        return PortState.PROXY
    if isinstance(error, requests.ConnectTimeout):
        return PortState.UNREACHABLE
    found = next((state for one in _causes(error) if (state := _state(one, shown=shown))), None)
    # In TLS 1.3 a server checks our certificate when we are already sending, and its alert may be lost.
    return PortState.DROPPED if found in _BROKEN_OFF and _secure(error) else found


def _secure(error: BaseException) -> bool:
    request = getattr(error, "request", None)
    return str(getattr(request, "url", "")).lower().startswith("https:")


def _causes(error: BaseException, depth: int = 8) -> Iterator[BaseException]:
    """Yield an exception and everything that it wraps."""
    yield error
    if depth:
        wrapped = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        for one in wrapped:
            if isinstance(one, BaseException):
                yield from _causes(one, depth - 1)


def _state(error: BaseException, *, shown: bool) -> PortState | None:
    if isinstance(error, ssl.SSLError):
        return state_of_tls(error, shown=shown)
    if isinstance(error, CertificateError):
        return PortState.WRONG_NAME
    if isinstance(error, RemoteDisconnected):
        return PortState.CLOSED
    if isinstance(error, BadStatusLine):
        first = str(error.args[0])[:2] if error.args else ""
        return PortState.TLS if first in ("\x15\x03", "\x16\x03") else PortState.OTHER
    if isinstance(error, socket.gaierror | NameResolutionError):
        return PortState.UNKNOWN_HOST
    if isinstance(error, ConnectionRefusedError):
        return PortState.REFUSED
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return PortState.RESET
    return PortState.UNREACHABLE if isinstance(error, OSError) and error.errno in _NOWHERE else None


def fault_of_answer(status: int, body: bytes) -> PortState | None:
    """Return what a web server says about the connection itself; None if it answers the request."""
    if status not in _MARKED_STATUSES:
        return None
    start = body[:_LOOKED_AT].lower()
    return next((state for mark, state in _MARKS if mark in start), None)


def status_words(status: int) -> str:
    """Return an HTTP status, and what to do about it if that is known."""
    known = _STATUSES.get(status)
    return f"{status}, {known}" if known else str(status)


def retry_after_s(stated: str | None, now: datetime) -> float | None:
    """Return how long (s) a server asks us to wait: a number of seconds or an HTTP date; None if neither."""
    text = (stated or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())

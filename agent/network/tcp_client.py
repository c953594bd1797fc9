"""A TCP connection to a destination, with TLS if it is set; HL7's MLLP runs over it."""

from __future__ import annotations

import socket
import ssl

from agent.foundation.settings.destination import DestinationSettings
from agent.network.port_state import PortState
from agent.network.scu import ConnectionLost
from agent.network.tls import client_context
from agent.network.tls_fault import state_of_tls

# What was found, and what to do.
Fault = tuple[str, str]
_NOT_TRUSTED = (
    "the receiver's certificate is not trusted",
    "correct `tls.authorities`, or renew the certificate",
)
_HANDSHAKES: dict[PortState | None, Fault] = {
    PortState.WRONG_NAME: (
        "the receiver's certificate is for another name",
        "correct `host`, or set `tls.server_name`",
    ),
    PortState.UNTRUSTED: _NOT_TRUSTED,
    PortState.EXPIRED: _NOT_TRUSTED,
    PortState.NOT_YET_VALID: _NOT_TRUSTED,
    PortState.PLAIN: ("the port does not speak TLS", "use the one that does, or leave `tls` out"),
}


def connect(destination: DestinationSettings) -> socket.socket:
    """Return a connection to the destination, with TLS if it is set.

    Raises:
        ConnectionLost: the connection or the handshake failed; the text says why, and what to do.
        SettingsError: a file of `tls` cannot be read.
    """
    # Unreadable files are found before a connection is made.
    context = None if destination.tls is None else client_context(destination.tls)
    place = f"{destination.host}:{destination.port}"
    try:
        connection = socket.create_connection(
            (destination.host, destination.port), timeout=destination.timeout_s
        )
    except (OSError, UnicodeError) as error:
        found, remedy = _unreachable(error)
        raise ConnectionLost(f"{place}: {found}", remedy=remedy) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None or destination.tls is None:
        return connection
    # pynetdicom's socket reports to its context; this one is used as it is.
    context.sslsocket_class = ssl.SSLSocket
    try:
        return context.wrap_socket(
            connection, server_hostname=destination.tls.server_name or destination.host
        )
    except (OSError, ssl.SSLError) as error:
        connection.close()
        found, remedy = _untrusted(error)
        raise ConnectionLost(f"{place}: {found}", remedy=remedy) from error


def _unreachable(error: OSError | UnicodeError) -> Fault:
    """Return why the destination was not reached, and what to do."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the host name cannot be resolved", "correct `host`, or the name server"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at this port", "start the receiver, or correct `port`"
    if isinstance(error, TimeoutError):
        return "no answer", "correct `host`, or let the firewall pass this port"
    return "it cannot be reached", "correct `host`, or the network between"


def _untrusted(error: OSError) -> Fault:
    """Return why the TLS handshake failed, and what to do."""
    if isinstance(error, TimeoutError):
        return "the TLS handshake is not answered", "use the port that speaks TLS, or restart the receiver"
    state = state_of_tls(error, shown=True) if isinstance(error, ssl.SSLError) else None
    return _HANDSHAKES.get(
        state,
        (
            "the receiver ended the TLS handshake",
            "check that it accepts `tls.certificate`, and TLS 1.2 or 1.3",
        ),
    )

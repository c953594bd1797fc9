"""A plain TCP connection to a destination, with TLS where it is set: what HL7's MLLP runs over."""

from __future__ import annotations

import socket
import ssl

from agent.foundation.settings.destination import DestinationSettings
from agent.network.scu import ConnectionLost
from agent.network.tls import client_context


def reachable(destination: DestinationSettings) -> None:
    """Return when the destination accepts a connection; nothing is sent.

    Raises:
        ConnectionLost: it does not.
    """
    connect(destination).close()


def connect(destination: DestinationSettings) -> socket.socket:
    """Return a connection to the destination, with TLS where it is set.

    Raises:
        ConnectionLost: nothing accepts it, or the handshake failed.
    """
    try:
        connection = socket.create_connection(
            (destination.host, destination.port), timeout=destination.timeout_s
        )
    except OSError as error:
        raise ConnectionLost(
            f"nothing accepts a connection at {destination.host}:{destination.port}"
        ) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if destination.tls is None:
        return connection
    context = client_context(destination.tls)
    # pynetdicom's socket reports to its context; this one is used as it is.
    context.sslsocket_class = ssl.SSLSocket
    try:
        return context.wrap_socket(
            connection, server_hostname=destination.tls.server_name or destination.host
        )
    except (OSError, ssl.SSLError) as error:
        connection.close()
        raise ConnectionLost("the TLS handshake with the receiver failed: check `tls`") from error

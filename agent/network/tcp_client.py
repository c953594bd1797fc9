"""A plain TCP connection to a destination, with TLS where it is set: what HL7's MLLP runs over."""

from __future__ import annotations

import socket
import ssl

from agent.foundation.settings.destination import DestinationSettings
from agent.network.scu import ConnectionLost
from agent.network.tls import client_context

# X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = (62, 64)
# How OpenSSL names an answer that is in no version of TLS.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


def connect(destination: DestinationSettings) -> socket.socket:
    """Return a connection to the destination, with TLS where it is set.

    Raises:
        ConnectionLost: nothing accepts it, or the handshake failed; the text says why, and what to do.
        SettingsError: a file of `tls` cannot be read.
    """
    # Files that cannot be read are found before anything is connected.
    context = None if destination.tls is None else client_context(destination.tls)
    place = f"{destination.host}:{destination.port}"
    try:
        connection = socket.create_connection(
            (destination.host, destination.port), timeout=destination.timeout_s
        )
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"{place}: {_unreachable(error)}") from error
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
        raise ConnectionLost(f"{place}: {_untrusted(error)}") from error


def _unreachable(error: OSError | UnicodeError) -> str:
    """Return why nothing was reached, and what to do."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the host name cannot be resolved: correct `host`, or the name server"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at this port: start the receiver, or correct `port`"
    if isinstance(error, TimeoutError):
        return "no answer: correct `host`, or let the firewall pass this port"
    return "it cannot be reached: correct `host`, or the network between"


def _untrusted(error: OSError) -> str:
    """Return why the TLS handshake failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return "the receiver's certificate is for another name: correct `host`, or set `tls.server_name`"
        return (
            "the receiver's certificate is not trusted: correct `tls.authorities`, or renew the certificate"
        )
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        return "the port does not speak TLS: use the one that does, or leave `tls` out"
    if isinstance(error, TimeoutError):
        return "the TLS handshake is not answered: use the port that speaks TLS, or restart the receiver"
    return "the receiver ended the TLS handshake: check that it accepts `tls.certificate`, and TLS 1.2 or 1.3"

"""TLS of the listener: mutual authentication, versions and suites of PS3.15 B.12 (BCP 195)."""

from __future__ import annotations

import hashlib
import ssl

from agent.errors import SettingsError
from agent.settings import TlsSettings

# Ephemeral keys and authenticated encryption only; TLS 1.3 has nothing else.
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context that shows our certificate and demands a trusted one of every peer.

    Raises:
        SettingsError: a file is missing, unreadable or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        context.load_verify_locations(settings.authorities)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "listener.tls: certificate, key or authorities cannot be read, or do not belong together"
        ) from error
    return context


def fingerprint(connection: object) -> str | None:
    """Return the sha256 (hex) of the peer's certificate, or None without TLS."""
    if not isinstance(connection, ssl.SSLSocket):
        return None
    certificate = connection.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else None

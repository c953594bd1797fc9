"""TLS in both directions: mutual authentication, and the versions and suites of PS3.15 B.12 (BCP 195)."""

from __future__ import annotations

import hashlib
import os
import ssl
from typing import Any

from agent.foundation.errors import SettingsError
from agent.foundation.settings.tree import ClientTlsSettings, TlsSettings

# Ephemeral keys and authenticated encryption only; TLS 1.3 has nothing else.
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context that presents our certificate and requires a trusted one from every peer.

    Raises:
        SettingsError: a file is missing, unreadable or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        context.load_verify_locations(settings.authorities)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "listener.tls: certificate, key or authorities cannot be read, or do not belong together"
        ) from error
    return context


class ClientContext(ssl.SSLContext):
    """A context for one connection: keeps its socket, and the error that pynetdicom would only log."""

    failure: ssl.SSLError | None = None
    connection: ssl.SSLSocket | None = None


class _ClientSocket(ssl.SSLSocket):
    """A socket that registers with its context, and reports why it failed."""

    def connect(self, addr: Any) -> None:
        """Connect and shake hands."""
        if isinstance(self.context, ClientContext):
            self.context.connection = self
        try:
            super().connect(addr)
        except ssl.SSLError as error:
            self._note(error)
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read; in TLS 1.3 a server that refuses our certificate says so only here."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            self._note(error)
            raise

    def _note(self, error: ssl.SSLError) -> None:
        if isinstance(self.context, ClientContext):
            self.context.failure = error


def client_context(settings: ClientTlsSettings) -> ClientContext:
    """Return a context for one connection that requires a trusted certificate, and presents ours if there is
    one.

    Raises:
        SettingsError: a file is missing, unreadable or does not fit the others.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _ClientSocket
    _prepare(context, settings, None)
    return context


class WebContext(ssl.SSLContext):
    """A context for HTTPS; `shows`: whether it has a certificate of ours to present."""

    shows: bool = False


def web_context(settings: ClientTlsSettings | None) -> WebContext:
    """Return a context for HTTPS, under the same rules.

    Without `authorities` it trusts those of REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE), else those of the system
    and of the package certifi.

    Raises:
        SettingsError: a file is missing, unreadable or does not fit the others.
    """
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # what other HTTP clients of Python trust

    context = WebContext(ssl.PROTOCOL_TLS_CLIENT)
    context.shows = settings is not None and settings.certificate is not None
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    _prepare(context, settings or ClientTlsSettings(), named or DEFAULT_CA_BUNDLE_PATH, system=not named)
    return context


def _prepare(
    context: ssl.SSLContext, settings: ClientTlsSettings, bundle: str | None, *, system: bool = True
) -> None:
    """Set a context's rules, authorities and certificate.

    bundle: a file or folder of authorities, used if the settings name none; with `system`, in addition to the
    system's.
    """
    _harden(context)
    context.check_hostname = settings.verify_host
    try:
        if settings.authorities is not None:
            context.load_verify_locations(settings.authorities)
        else:
            if system:
                context.load_default_certs()
            if bundle is not None:
                folder = os.path.isdir(bundle)
                context.load_verify_locations(None if folder else bundle, bundle if folder else None)
        if settings.certificate is not None:
            # A key with a password would prompt for it on the terminal.
            context.load_cert_chain(settings.certificate, settings.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise SettingsError(
            "tls: certificate, key or authorities cannot be read, or do not belong together"
        ) from error


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def fingerprint(connection: object) -> str | None:
    """Return the sha256 (hex) of the peer's certificate, or None without TLS."""
    if not isinstance(connection, ssl.SSLSocket):
        return None
    certificate = connection.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else None

"""The connection to a FHIR server: one transaction for each message.

Source: FHIR R4 http.html#transaction; RFC 6749 4.4 (client credentials).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.fhir import FhirClientSettings, FhirDestinationSettings
from agent.messages.fhir.answer import TransactionResult, entries_of, judge
from agent.network.http_limit import LimitedRequests
from agent.network.store_scu import Sendable
from agent.network.web_fault import status_words
from agent.network.web_session import (
    check_answer,
    connection_errors,
    open_web_session,
    prepare,
    read_secret,
)

_TYPE = "application/fhir+json; charset=utf-8"
_SERVER = "the FHIR server"
# RFC 6749 5.2.
_TOKEN_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_token",
        "missing_token",
        "token_expired",
    }
)


class FhirConnection:
    """A session with one FHIR server."""

    def __init__(
        self, session: requests.Session, settings: FhirDestinationSettings, timeout_s: float
    ) -> None:
        self._session = session
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._timeout_s = timeout_s

    def store(self, document: Sendable) -> str | None:
        """Send one bundle; return None once every entry was accepted.

        Raises:
            DeliveryRefused: the server will never take this bundle.
            DeliveryFailed: it did not accept it this time.
            ConnectionLost: no connection, or no answer in time.
        """
        with token_errors(), connection_errors(_SERVER, self._settings):
            answer = self._session.post(
                self._url,
                data=document.content,
                headers={"Content-Type": _TYPE, "Accept": _TYPE, "Prefer": "return=minimal"},
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        check_answer(_SERVER, answer)
        outcome = judge(
            answer.status_code,
            answer.content,
            entries=entries_of(document.content),
            status_words=status_words(answer.status_code),
        )
        if outcome.outcome is TransactionResult.NEVER:
            raise DeliveryRefused(outcome.reason)
        if outcome.outcome is TransactionResult.AGAIN:
            raise DeliveryFailed(outcome.reason)
        return None

    def capabilities(self) -> dict[str, Any]:
        """Return the server's CapabilityStatement.

        Raises:
            DeliveryFailed: it has none, or an unreadable one.
            ConnectionLost: no connection, or no answer in time.
        """
        with token_errors(), connection_errors(_SERVER, self._settings):
            answer = self._session.get(
                f"{self._url}/metadata", headers={"Accept": _TYPE}, timeout=self._timeout_s
            )
        check_answer(_SERVER, answer)
        stated = _json(answer)
        if answer.status_code != 200 or stated.get("resourceType") != "CapabilityStatement":
            words = status_words(answer.status_code)
            raise DeliveryFailed(f"{_SERVER} answered {words} and no CapabilityStatement")
        return stated


class _TokenSession(OAuth2Session, LimitedRequests):  # type: ignore[misc]
    """A session that signs in with OAuth 2.0."""

    def __init__(self, client_id: str | None, secret: str, **named: Any) -> None:
        OAuth2Session.__init__(self, client_id, secret, **named)


@contextmanager
def open_fhir(destination: DestinationSettings) -> Iterator[FhirConnection]:
    """Open a session; with OAuth 2.0 a token is fetched first.

    Raises:
        DeliveryFailed: the token was refused, or the secret cannot be read.
        ConnectionLost: the token's address cannot be reached.
    """
    settings = destination.fhir
    if settings is None:
        raise DeliveryFailed("the destination has no section `fhir`")
    with open_session(settings, destination.timeout_s) as session:
        yield FhirConnection(session, settings, destination.timeout_s)


@contextmanager
def open_session(settings: FhirClientSettings, timeout_s: float) -> Iterator[requests.Session]:
    """Open an HTTP session with a server; with OAuth 2.0 a token is fetched first.

    Raises:
        DeliveryFailed: the token was refused.
        ConnectionLost: the token's address cannot be reached, or a secret or a file of `tls` cannot be read.
    """
    if settings.token_url is None or settings.client_secret_file is None:
        with open_web_session(settings) as session:
            yield session
        return
    with _TokenSession(
        settings.client_id,
        read_secret(settings.client_secret_file, "fhir.client_secret_file"),
        scope=settings.scope,
        token_endpoint=settings.token_url,
        grant_type="client_credentials",
    ) as session:
        prepare(session, settings)
        with token_errors(), connection_errors("the server of `fhir.token_url`", settings):
            session.fetch_token(timeout=timeout_s)
        yield session


@contextmanager
def token_errors() -> Iterator[None]:
    """Translate the OAuth library's errors; the server's texts are not quoted.

    Raises:
        DeliveryFailed: there is no token.
    """
    try:
        yield
    except AuthlibBaseError as error:
        known = error.error if error.error in _TOKEN_ERRORS else "no OAuth 2.0 answer"
        raise DeliveryFailed(
            f"the token was refused: {known}", remedy="check `fhir.client_id`, its secret and `fhir.scope`"
        ) from error
    except requests.HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        raise DeliveryFailed(f"the server of `fhir.token_url` answered {status_words(code)}") from error
    except ValueError as error:
        raise DeliveryFailed(
            "the server of `fhir.token_url` gave no OAuth 2.0 answer", remedy="check that address"
        ) from error


def trouble_of(stated: dict[str, Any]) -> str | None:
    """Return why a server with this CapabilityStatement cannot accept our bundles, or None if it can."""
    version = str(stated.get("fhirVersion", ""))
    if not version.startswith("4.0"):
        return f"it speaks FHIR {version or 'of an unknown version'}, not R4 (4.0)"
    rest = [one for one in stated.get("rest", ()) if one.get("mode") == "server"]
    offered = {one.get("code") for server in rest for one in server.get("interaction", ())}
    if "transaction" not in offered:
        return "it does not offer the interaction `transaction`"
    return None


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        read = answer.json()
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}

"""The connection to a FHIR server: one transaction for each message, and the meaning of the answer.

An OperationOutcome may contain patient data, so only its issue codes are kept.

Source: FHIR R4 http.html#transaction-response, operationoutcome; RFC 6749 4.4 (client credentials).
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
from agent.network.scu import ConnectionLost
from agent.network.store_scu import Sendable

_TYPE = "application/fhir+json; charset=utf-8"
# Statuses that the server would answer to the same bundle again.
_FOR_GOOD = frozenset({400, 404, 405, 406, 410, 413, 415, 422})
_MOST_CODES = 5


class FhirConnection:
    """A session with one FHIR server."""

    def __init__(
        self, session: requests.Session, settings: FhirDestinationSettings, timeout_s: float
    ) -> None:
        self._session = session
        self._url = settings.url.rstrip("/")
        self._timeout_s = timeout_s

    def store(self, document: Sendable) -> str | None:
        """Send one bundle; return None when every entry was taken.

        Raises:
            DeliveryRefused: the server will never take this bundle.
            DeliveryFailed: it did not accept it this time.
            ConnectionLost: no connection, or no answer in time.
        """
        try:
            answer = self._session.post(
                self._url,
                data=document.content,
                headers={"Content-Type": _TYPE, "Accept": _TYPE, "Prefer": "return=minimal"},
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except AuthlibBaseError as error:
            raise DeliveryFailed(f"the token was refused: {error.error}") from error
        except (requests.RequestException, OSError) as error:
            raise ConnectionLost("the FHIR server cannot be reached, or did not answer in time") from error
        if answer.status_code >= 300:
            words = f"the FHIR server answered {answer.status_code}{_issues(answer)}"
            raise (DeliveryRefused if answer.status_code in _FOR_GOOD else DeliveryFailed)(words)
        _check(answer)
        return None

    def capabilities(self) -> dict[str, Any]:
        """Return the server's CapabilityStatement.

        Raises:
            DeliveryFailed: it has none, or an unreadable one.
            ConnectionLost: no connection, or no answer in time.
        """
        try:
            answer = self._session.get(
                f"{self._url}/metadata", headers={"Accept": _TYPE}, timeout=self._timeout_s
            )
        except (requests.RequestException, OSError) as error:
            raise ConnectionLost("the FHIR server cannot be reached, or did not answer in time") from error
        stated = _json(answer)
        if answer.status_code != 200 or stated.get("resourceType") != "CapabilityStatement":
            raise DeliveryFailed(f"the FHIR server answered {answer.status_code} and no CapabilityStatement")
        return stated


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
        DeliveryFailed: the token was refused, or the secret cannot be read.
        ConnectionLost: the token's address cannot be reached.
    """
    if settings.token_url is None or settings.client_secret_file is None:
        with requests.Session() as session:
            yield session
        return
    try:
        secret = settings.client_secret_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryFailed("the client secret's file cannot be read") from error
    with OAuth2Session(
        settings.client_id,
        secret,
        scope=settings.scope,
        token_endpoint=settings.token_url,
        grant_type="client_credentials",
    ) as session:
        try:
            session.fetch_token(timeout=timeout_s)
        except AuthlibBaseError as error:
            raise DeliveryFailed(f"the token was refused: {error.error}") from error
        except (requests.RequestException, OSError) as error:
            raise ConnectionLost("the token's address cannot be reached") from error
        yield session


def trouble_of(stated: dict[str, Any]) -> str | None:
    """Return in words why a server with this CapabilityStatement cannot take our bundles; None if it can."""
    version = str(stated.get("fhirVersion", ""))
    if not version.startswith("4.0"):
        return f"it speaks FHIR {version or 'of an unknown version'}, not R4 (4.0)"
    rest = [one for one in stated.get("rest", ()) if one.get("mode") == "server"]
    offered = {one.get("code") for server in rest for one in server.get("interaction", ())}
    if "transaction" not in offered:
        return "it does not offer the interaction `transaction`"
    return None


def _check(answer: requests.Response) -> None:
    """Raise unless every entry of the response bundle was taken; a server may answer without a body."""
    if not answer.content:
        return
    entries = _json(answer).get("entry", ())
    statuses = [str((one.get("response") or {}).get("status", "")) for one in entries]
    failed = [status for status in statuses if status and not status.startswith("2")]
    if failed:
        raise DeliveryFailed(f"the FHIR server did not take every entry: {failed[0][:3]}")


def _issues(answer: requests.Response) -> str:
    issues = _json(answer).get("issue", ())
    named = [str(one.get("code", "")) for one in issues if isinstance(one, dict)]
    known = [code for code in named if code.replace("-", "").isalpha()][:_MOST_CODES]
    return f" ({', '.join(known)})" if known else ""


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        read = answer.json()
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}

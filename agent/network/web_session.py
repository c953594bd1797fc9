"""HTTP sessions with other systems: their authorities, our certificate, our credentials, one set of errors.

Every HTTP client of this package uses them. Texts of the HTTP library and of servers are never quoted: they
may contain addresses with keys, tokens and patients. Without `credentials` a password comes from the netrc
file of the service's user.

Source: RFC 6750 2.1 (bearer tokens), RFC 7617 (Basic), RFC 9110 10.2.3 (Retry-After).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from agent.foundation.errors import SettingsError
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.http import HttpCredentials
from agent.network.http_limit import LimitedRequests, WatchedAdapter
from agent.network.scu import ConnectionLost, DestinationBusy
from agent.network.tls import web_context
from agent.network.web_fault import fault_of_answer, fault_words, retry_after_s

_TOKEN = re.compile(r"[\x21-\x7e]+")
_BUSY = (429, 503)
_LONGEST_SECRET = 65_536


class WebPeer(Protocol):
    """How to reach a server over HTTP."""

    @property
    def tls(self) -> ClientTlsSettings | None:
        """TLS settings for an https address."""

    @property
    def credentials(self) -> HttpCredentials | None:
        """How we sign in; with netrc if None."""


class HttpSession(LimitedRequests):
    """A session that redirects only GET requests: a redirected POST would become a GET."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request; only a GET follows a redirection."""
        if request.method != "GET":
            options["allow_redirects"] = False
        return super().send(request, **options)


class _Adapter(WatchedAdapter):
    """Verifies with our own context, whatever authorities the environment names.

    Without settings the context is made at the first https request: loading all authorities takes 50 ms,
    which a session over plain HTTP need not spend.
    """

    def __init__(self, settings: ClientTlsSettings | None) -> None:
        self._settings = settings
        self._rules: dict[str, Any] = {}
        super().__init__()
        if settings is not None:
            self._load()

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> requests.Response:
        """Send a request over https.

        Raises:
            ConnectionLost: the authorities that the environment names cannot be read.
        """
        if not self._rules:
            self._load()
        return super().send(request, *rest, **options)

    def _load(self) -> None:
        try:
            context = web_context(self._settings)
        except SettingsError as error:
            raise ConnectionLost(str(error)) from error
        name = self._settings.server_name if self._settings is not None else None
        self._rules = {"ssl_context": context}
        if name is not None:
            self._rules |= {"server_hostname": name, "assert_hostname": name}
        if not context.check_hostname:
            self._rules["assert_hostname"] = False
        self.init_poolmanager(self._pool_connections, self._pool_maxsize, self._pool_block)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **named: Any) -> None:
        """Open connections with our context."""
        super().init_poolmanager(connections, maxsize, block, **named, **self._rules)

    def proxy_manager_for(self, proxy: Any, **named: Any) -> Any:
        """Open connections through a proxy with our context."""
        return super().proxy_manager_for(proxy, **named, **self._rules)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Leave the authorities to the context."""
        return super().build_connection_pool_key_attributes(request, True, None)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the authorities and the certificate to the context."""


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@contextmanager
def open_web_session(peer: WebPeer) -> Iterator[HttpSession]:
    """Open a session; does not connect before the first request.

    Raises:
        ConnectionLost: a file or variable that the settings name cannot be used.
    """
    with HttpSession() as session:
        prepare(session, peer)
        yield session


def prepare(session: requests.Session, peer: WebPeer) -> None:
    """Give a session the TLS and the credentials of a peer's settings.

    Raises:
        ConnectionLost: a file or variable that the settings name cannot be used; it may be being changed.
    """
    session.mount("http://", WatchedAdapter())
    session.mount("https://", _Adapter(peer.tls))
    if peer.credentials is not None:
        session.auth = authorization(peer.credentials)


@contextmanager
def connection_errors(server: str, peer: WebPeer) -> Iterator[None]:
    """Translate the HTTP library's errors; `server` names the other side in the text.

    Raises:
        ConnectionLost: no connection, or no answer in time; the text says why, and what to do.
    """
    try:
        yield
    except (requests.HTTPError, requests.exceptions.JSONDecodeError):
        raise  # these are answers
    except (requests.RequestException, OSError) as error:
        found, remedy = fault_words(error, shown=shows(peer))
        raise ConnectionLost(f"{server} cannot be reached: {found}", remedy=remedy) from error


def shows(peer: WebPeer) -> bool:
    """Whether we have a certificate to present to a server."""
    return peer.tls is not None and peer.tls.certificate is not None


def check_answer(server: str, answer: requests.Response) -> None:
    """Raise if an answer concerns the connection or asks us to wait, and not the request.

    Raises:
        ConnectionLost: the port or our certificate is wrong.
        DestinationBusy: 429 or 503: the server asks us to wait.
    """
    state = fault_of_answer(answer.status_code, answer.content)
    if state is not None:
        raise ConnectionLost(f"{server} cannot be reached: {state.words}", remedy=state.remedy)
    if answer.status_code in _BUSY:
        wait = retry_after_s(answer.headers.get("Retry-After"), datetime.now(UTC))
        raise DestinationBusy(f"{server} answered {answer.status_code}: it asks us to wait", wait)


def authorization(credentials: HttpCredentials) -> AuthBase:
    """Return the authentication of a request.

    Raises:
        ConnectionLost: a file or variable cannot be used. The text names the setting alone.
    """
    if credentials.username:
        password = _secret("password", credentials.password_file, credentials.password_variable)
        return HTTPBasicAuth(credentials.username.encode(), password.encode())
    token = _secret("token", credentials.token_file, credentials.token_variable)
    if not _TOKEN.fullmatch(token):
        raise ConnectionLost(
            "the token of `credentials` has spaces, line breaks or letters beyond ASCII: give the token "
            "alone, without `Bearer`"
        )
    return _Bearer(token)


def authorization_header(credentials: HttpCredentials) -> str:
    """Return the header Authorization that signs a request, for another HTTP client.

    Raises:
        ConnectionLost: a file or variable cannot be used. The text names the setting alone.
    """
    request = requests.Request("GET", "http://localhost/", auth=authorization(credentials)).prepare()
    return str(request.headers["Authorization"])


def _secret(what: str, file: Path | None, variable: str | None) -> str:
    if file is None:
        found = os.environ.get(variable or "", "").strip()
        if not found:
            raise ConnectionLost(f"the environment variable `credentials.{what}_variable` is not set here")
        return found
    return read_secret(file, f"credentials.{what}_file")


def read_secret(file: Path, setting: str) -> str:
    """Return the secret in a file, without surrounding white space.

    Raises:
        ConnectionLost: it cannot be read, or is empty. The text names the setting alone.
    """
    try:
        with file.open("rb") as opened:
            found = opened.read(_LONGEST_SECRET).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectionLost(f"the file of `{setting}` cannot be read") from error
    if not found:
        raise ConnectionLost(f"the file of `{setting}` is empty")
    return found

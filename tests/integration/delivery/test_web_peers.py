"""Every HTTP client with real HTTPS servers: whom it trusts, what it presents, and what faults it reports."""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.commands.doctor_http import archive_found, bundles_found, stow_found
from agent.foundation.errors import ArchiveRefused, ArchiveUnavailable, DeliveryFailed
from agent.foundation.settings.archive import ArchiveSettings
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.network.archive import connect_archive
from agent.network.fhir_client import open_fhir
from agent.network.port_state import PortState
from agent.network.scu import ConnectionLost
from agent.network.stow import open_stow
from tests.support.web_peers import Authority, Heard, Reply, WebServer, authority, server_context, web_server

pytestmark = pytest.mark.integration
SECRET = "t0ken-of-the-archive"
Sections = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """Stored bytes to send; more than a socket's buffer holds."""

    content: bytes = b"x" * 3_000_000
    sop_class_uid: str = ""
    sop_instance_uid: str = ""


def answered(request: Heard) -> Reply:
    """Answer as each kind of server does."""
    if request.path.endswith("/metadata"):
        return 200, {"Content-Type": "application/fhir+json"}, b'{"resourceType": "CapabilityStatement"}'
    if request.method == "POST":
        return 200, {}, b""
    return 200, {"Content-Type": "application/dicom+json"}, b"[]"


def stow(url: str, sections: Sections) -> None:
    where = DestinationSettings(name="web", stow_url=url, timeout_s=20, **sections)
    with open_stow(where) as connection:
        connection.store(Message())


def fhir(url: str, sections: Sections) -> None:
    settings = FhirDestinationSettings(url=url, **sections)
    where = DestinationSettings(name="emr", kind="fhir", fhir=settings, timeout_s=20)
    with open_fhir(where) as connection:
        connection.store(Message())


def qido(url: str, sections: Sections) -> None:
    with connect_archive(ArchiveSettings(url=url, timeout_s=20, **sections), 40) as archive:
        archive.study("2.25.1")


CLIENTS: dict[str, Callable[[str, Sections], None]] = {"stow": stow, "fhir": fhir, "qido": qido}


def doctor(name: str, url: str, sections: Sections) -> tuple[str, str]:
    """The finding of `doctor`, and the remedy."""
    if name == "qido":
        return archive_found(ArchiveSettings(url=url, **sections), 20)
    if name == "stow":
        return stow_found(DestinationSettings(name="web", stow_url=url, **sections), 20)
    settings = FhirDestinationSettings(url=url, **sections)
    return bundles_found(DestinationSettings(name="emr", kind="fhir", fhir=settings), 20)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The hospital's authority."""
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return authority(tmp_path_factory.mktemp("other"), "other-ca")


@pytest.fixture
def serve() -> Iterator[Callable[..., WebServer]]:
    """Start servers that stop after the test."""
    with ExitStack() as stack:
        yield lambda context=None, reply=answered: stack.enter_context(web_server(reply, context))


def ours(ca: Authority, files: tuple[Path, Path] | None = None, **values: Any) -> Sections:
    """Our section `tls`: the trusted authority, and our certificate."""
    own = {} if files is None else {"certificate": files[0], "key": files[1]}
    return {"tls": {"authorities": ca.file, **own, **values}}


def refusal(name: str, url: str, sections: Sections) -> str:
    """The client's error, which must be a lost connection, so that it is retried with the breaker."""
    with pytest.raises((ConnectionLost, ArchiveUnavailable)) as raised:
        CLIENTS[name](url, sections)
    return str(raised.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", CLIENTS)
def test_trusted_server_gets_our_certificate_and_token(
    serve: Callable[..., WebServer], ca: Authority, tmp_path: Path, name: str, version: ssl.TLSVersion
) -> None:
    """The hospital's authority, a client certificate and a bearer token from a file work together."""
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n", "utf-8")
    server = serve(server_context(ca.issue("pacs", "127.0.0.1"), wants=ca, version=version))
    sections = ours(ca, ca.issue("agent")) | {"credentials": {"token_file": token}}
    CLIENTS[name](server.url(), sections)
    assert {one.headers["Authorization"] for one in server.heard} == {f"Bearer {SECRET}"}


# Faults that a server may detect only when we are already sending.
LATE = (PortState.CERTIFICATE_WANTED, PortState.CERTIFICATE_REFUSED, PortState.TLS)


def cases(ca: Authority, other: Authority) -> dict[PortState, tuple[ssl.SSLContext | None, str, Sections]]:
    """For each finding: the server's side, the scheme of our address, and our section `tls`."""
    here = "127.0.0.1"
    return {
        PortState.UNTRUSTED: (server_context(other.issue("stranger", here)), "https", ours(ca)),
        PortState.WRONG_NAME: (server_context(ca.issue("elsewhere", "pacs.example")), "https", ours(ca)),
        PortState.EXPIRED: (server_context(ca.issue("old", here, days=(-2, -1))), "https", ours(ca)),
        PortState.NOT_YET_VALID: (server_context(ca.issue("new", here, days=(1, 2))), "https", ours(ca)),
        PortState.CERTIFICATE_WANTED: (
            server_context(ca.issue("pacs", here), wants=ca),
            "https",
            ours(ca),
        ),
        PortState.CERTIFICATE_REFUSED: (
            server_context(ca.issue("pacs", here), wants=ca),
            "https",
            ours(ca, other.issue("agent")),
        ),
        PortState.PLAIN: (None, "https", ours(ca)),
        PortState.TLS: (server_context(ca.issue("pacs", here)), "http", {}),
    }


@pytest.mark.parametrize("name", CLIENTS)
def test_each_fault_has_words_and_a_remedy_of_its_own(
    serve: Callable[..., WebServer], ca: Authority, other_ca: Authority, name: str
) -> None:
    """`doctor` distinguishes eight faults; so does a client, unless the server's alert is lost."""
    for state, (context, scheme, sections) in cases(ca, other_ca).items():
        server = serve(context)
        url = f"{scheme}://127.0.0.1:{server.port}/web"
        found, remedy = doctor(name, url, sections)
        assert (found.removeprefix(f"{url}: "), remedy) == (state.words, state.remedy)
        possible = [state, *({PortState.DROPPED, PortState.CLOSED, PortState.RESET} if state in LATE else ())]
        said = refusal(name, url, sections)
        assert any(f"{one.words}; {one.remedy}" in said for one in possible), said
        assert server.heard == []


def test_own_authority_is_not_widened_by_the_environment(
    serve: Callable[..., WebServer], ca: Authority, other_ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE applies only if the settings name no authorities."""
    server = serve(server_context(other_ca.issue("pacs", "127.0.0.1")))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other_ca.file))
    for client in CLIENTS.values():
        client(server.url(), {})
    for name in CLIENTS:
        assert PortState.UNTRUSTED.words in refusal(name, server.url(), ours(ca))


@pytest.mark.parametrize("values", [{"verify_host": False}, {"server_name": "pacs.example"}])
def test_certificate_for_another_name_can_be_allowed(
    serve: Callable[..., WebServer], ca: Authority, values: dict[str, Any]
) -> None:
    """Either this name is given, or any name certified by a trusted authority is accepted."""
    server = serve(server_context(ca.issue("elsewhere", "pacs.example")))
    for name, client in CLIENTS.items():
        client(server.url(), ours(ca, **values))
        broken = doctor(name, server.url() + "x", ours(ca, server_name="other.example"))
        assert broken[1] == PortState.WRONG_NAME.remedy


@pytest.mark.parametrize("name", CLIENTS)
def test_name_and_password_are_sent_as_basic(
    serve: Callable[..., WebServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """HTTP Basic in UTF-8, from a file or the environment; it takes precedence over the netrc file."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else", "utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("ARCHIVE_PASSWORD", "pässword")
    (tmp_path / "password").write_text("pässword\n", "utf-8")
    server = serve()
    for place in ({"password_variable": "ARCHIVE_PASSWORD"}, {"password_file": tmp_path / "password"}):
        CLIENTS[name](server.url(), {"credentials": {"username": "echo", **place}})
    CLIENTS[name](server.url(), {})
    basic, netrc_basic = (
        f"Basic {base64.b64encode(text.encode()).decode()}" for text in ("echo:pässword", "somebody:else")
    )
    assert [one.headers["Authorization"] for one in server.heard] == [basic, basic, netrc_basic]


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b" \n", "is empty"),
        (b"Bearer " + SECRET.encode(), "alone, without `Bearer`"),
        (SECRET.encode() + b"\nX-Header: 1", "line breaks"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_token_that_cannot_be_used_is_told_and_never_quoted(
    serve: Callable[..., WebServer], tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    """The delivery waits until a person has corrected the file; nothing is sent without the token."""
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    server = serve()
    text = refusal(name, server.url(), {"credentials": {"token_file": token}})
    assert said in text
    assert SECRET not in text
    assert server.heard == []


@pytest.mark.parametrize("name", CLIENTS)
def test_variable_that_is_not_set_is_told(
    serve: Callable[..., WebServer], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The variable is missing from the service's environment."""
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    credentials = {"credentials": {"token_variable": "NO_SUCH_TOKEN"}}
    assert "`credentials.token_variable` is not set" in refusal(name, serve().url(), credentials)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(("status", "said"), [(401, "does not accept our credentials"), (403, "not permit")])
def test_refused_credentials_are_told_and_tried_again(
    serve: Callable[..., WebServer],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    status: int,
    said: str,
) -> None:
    """401 and 403 are two faults; neither the token nor the server's text appears in an error or a log."""
    token = tmp_path / "token"
    token.write_text(SECRET, "utf-8")
    server = serve(reply=(status, {"Content-Type": "text/plain"}, f"{SECRET} of Müller".encode()))
    sections = {"credentials": {"token_file": token}}
    caplog.set_level(logging.DEBUG)
    with pytest.raises((DeliveryFailed, ArchiveRefused)) as raised:
        CLIENTS[name](server.url(), sections)
    found, remedy = doctor(name, server.url(), sections)
    for text in (str(raised.value), found):
        assert f"{status}, " in text
        assert said in text
    assert remedy
    for text in (str(raised.value), found, remedy, caplog.text):
        assert SECRET not in text
        assert "Müller" not in text


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b"<center>The plain HTTP request was sent to HTTPS port</center>", PortState.TLS),
        (b"Client sent an HTTP request to an HTTPS server.", PortState.TLS),
        (b"<center>No required SSL certificate was sent</center>", PortState.CERTIFICATE_WANTED),
        (b"<center>The SSL certificate error</center>", PortState.CERTIFICATE_REFUSED),
    ],
)
def test_page_about_the_connection_refuses_no_document(
    serve: Callable[..., WebServer], name: str, body: bytes, state: PortState
) -> None:
    """Web servers answer 400 to plain HTTP on a TLS port; this must not make documents DEAD."""
    server = serve(reply=(400, {"Content-Type": "text/html"}, body))
    assert state.remedy in refusal(name, server.url(), {})


@pytest.mark.parametrize("name", ["stow", "fhir"])
def test_redirected_document_is_not_stored(serve: Callable[..., WebServer], name: str) -> None:
    """A redirected POST would become a GET, and its answer a success."""
    elsewhere = serve()
    for status in (301, 302, 303, 307):
        server = serve(reply=(status, {"Location": elsewhere.url()}, b""))
        with pytest.raises(DeliveryFailed, match=str(status)):
            CLIENTS[name](server.url(), {})
    assert elsewhere.heard == []


@pytest.mark.parametrize("name", ["stow", "fhir"])
def test_page_to_sign_in_is_no_success(serve: Callable[..., WebServer], name: str) -> None:
    """A gateway that answers 200 with its own page has stored nothing."""
    server = serve(reply=(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>Sign in</html>"))
    with pytest.raises(DeliveryFailed, match="sign in"):
        CLIENTS[name](server.url(), {})

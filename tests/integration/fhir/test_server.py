"""Bundles on an independent FHIR R4 server, valid by its own definitions."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.messages.fhir.bundle import write_bundle
from agent.messages.result import Result
from agent.messages.result_status import ResultStatus
from agent.network.fhir_client import open_fhir, trouble_of
from agent.network.scu import ConnectionLost
from model.findings.types import Laterality
from tests.conftest import skip_or_fail
from tests.support.fhir_peer import FhirPeer, installed, running_fhir_peer
from tests.unit.agent.messages.hl7.results import result

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Message:
    """Stored bytes to be sent."""

    content: bytes
    sop_class_uid: str = ""
    sop_instance_uid: str = ""


@pytest.fixture(scope="module")
def peer(program: Callable[[str], str]) -> Iterator[FhirPeer]:
    """The server."""
    folder = installed(program("npm"))
    if folder is None:
        skip_or_fail("npm cannot be reached, and the FHIR server is not in the cache")
    with running_fhir_peer(program("node"), folder) as running:
        yield running


def server(url: str, **values: Any) -> DestinationSettings:
    settings = FhirDestinationSettings(url=url, **values)
    return DestinationSettings(name="emr", kind="fhir", fhir=settings, timeout_s=10)


def send(destination: DestinationSettings, made: Result) -> bytes:
    """Send a result; return the bytes that were sent."""
    ((_role, content),) = write_bundle(destination, made)
    with open_fhir(destination) as connection:
        assert connection.store(Message(content)) is None
    return content


def test_life_of_a_result_at_a_server(peer: FhirPeer) -> None:
    """Draft, repeat, newer draft, verdict, correction, withdrawal: one report, valid at each step."""
    destination = server(peer.url)
    draft = result()
    sent = send(destination, draft)
    for _ in range(3):
        assert send(destination, draft) == sent
    assert [one["status"] for one in peer.resources("DiagnosticReport")] == ["preliminary"]
    assert len(peer.resources("Observation")) == 3
    other_side = replace(draft.findings[0], laterality=Laterality.RIGHT)
    newer = replace(draft, uid="2.25.124", findings=(other_side, *draft.findings[1:]), earlier=sent)
    sent = send(destination, newer)
    states = sorted(one["status"] for one in peer.resources("Observation"))
    assert states == ["cancelled", "preliminary", "preliminary", "preliminary"]
    for number, (status, stated) in enumerate(
        [
            (ResultStatus.FINAL, "final"),
            (ResultStatus.CORRECTED, "amended"),
            (ResultStatus.WITHDRAWN, "entered-in-error"),
        ]
    ):
        step = result(status, uid=f"2.25.{200 + number}", findings=newer.findings, earlier=sent)
        sent = send(destination, step)
        assert [one["status"] for one in peer.resources("DiagnosticReport")] == [stated]
    assert {one["status"] for one in peer.resources("Observation")} == {"cancelled"}
    assert len(peer.resources("ImagingStudy")) == len(peer.resources("Device")) == 1
    assert peer.problems == []


@contextmanager
def deaf(url: str, lose: int) -> Iterator[str]:
    """A proxy to a server that stores the first requests but loses the answers. Yield its address."""
    lost: list[bytes] = []

    class Relay(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Pass the request on, and its answer back unless it is to be lost."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {"Content-Type": self.headers["Content-Type"]}
            request = urllib.request.Request(url, data=body, headers=headers, method="POST")
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, said = answer.status, answer.read()
            if len(lost) < lose:
                lost.append(said)
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_answer_that_is_lost_after_storing_makes_nothing_twice(peer: FhirPeer) -> None:
    """The retry sends the same bytes, and the server updates its resources to the same content."""
    made = result(uid="2.25.7700", study_instance_uid="2.25.7701")
    kinds = ("DiagnosticReport", "Observation", "ImagingStudy", "Device", "Patient", "ServiceRequest")
    before = {kind: len(peer.resources(kind)) for kind in kinds}
    with deaf(peer.url, lose=2) as url:
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                send(server(url), made)
        stored = {kind: len(peer.resources(kind)) for kind in kinds}
        sent = send(server(url), made)
    assert {kind: len(peer.resources(kind)) for kind in kinds} == stored
    assert stored["DiagnosticReport"] == before["DiagnosticReport"] + 1
    assert sent == send(server(peer.url), made)
    assert peer.problems == []


def test_server_says_what_it_can(peer: FhirPeer) -> None:
    """The CapabilityStatement of a server that supports transactions raises no complaint."""
    with open_fhir(server(peer.url)) as connection:
        assert trouble_of(connection.capabilities()) is None


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers each POST with the next of `answers`; gives a token to the right client only."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    tokens: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            form = urllib.parse.parse_qs(body.decode())
            good = form.get("grant_type") == ["client_credentials"] and "Basic" in self.headers.get(
                "Authorization", ""
            )
            self._say(
                200 if good else 401, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'
            )
            return
        self.tokens.append(self.headers.get("Authorization", ""))
        self._say(*self.answers.pop(0))

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[str]:
    """The address of a server that gives the scripted answers."""
    Scripted.answers, Scripted.tokens = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


OUTCOME = json.dumps(
    {"resourceType": "OperationOutcome", "issue": [{"code": "invalid", "diagnostics": "Müller^Jörg"}]}
).encode()
UNSUPPORTED = json.dumps(
    {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-supported"}]}
).encode()
HALF = json.dumps(
    {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": {"status": "201"}}, {"response": {"status": "412 x"}}],
    }
).encode()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, OUTCOME, DeliveryRefused),
        (422, OUTCOME, DeliveryRefused),
        (401, b"", DeliveryFailed),
        (403, b"no", DeliveryFailed),
        (409, OUTCOME, DeliveryFailed),
        (412, OUTCOME, DeliveryFailed),
        (429, b"", DeliveryFailed),
        (302, b"", DeliveryFailed),
        (400, UNSUPPORTED, DeliveryRefused),
        (404, OUTCOME, DeliveryFailed),
        (405, b"", DeliveryRefused),
        (501, b"", DeliveryRefused),
        (500, b"<html>", DeliveryFailed),
        (503, b"", DeliveryFailed),
        (200, HALF, DeliveryFailed),
    ],
)
def test_answers_are_final_or_tried_again(
    scripted: str, status: int, body: bytes, error: type[Exception]
) -> None:
    """An answer that a retry would meet again is final; the error quotes none of the server's text."""
    Scripted.answers = [(status, body)]
    with open_fhir(server(scripted)) as connection, pytest.raises(error) as raised:
        connection.store(Message(b"{}"))
    assert str(status if status != 200 else 412) in str(raised.value)
    assert "Müller" not in str(raised.value)


def test_success_without_content_is_success(scripted: str) -> None:
    """A server may answer `return=minimal` with an empty body."""
    Scripted.answers = [(200, b"")]
    with open_fhir(server(scripted)) as connection:
        assert connection.store(Message(b"{}")) is None


def test_server_that_is_not_there_is_a_lost_connection(free_port: int) -> None:
    """It is retried, subject to the circuit breaker."""
    with open_fhir(server(f"http://127.0.0.1:{free_port}")) as connection, pytest.raises(ConnectionLost):
        connection.store(Message(b"{}"))


def test_token_is_fetched_and_sent(scripted: str, tmp_path: Path) -> None:
    """OAuth 2.0 client credentials: the bundle is sent with the token."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    destination = server(scripted, token_url=f"{scripted}/token", client_id="echo", client_secret_file=secret)
    Scripted.answers = [(200, b"")]
    with open_fhir(destination) as connection:
        connection.store(Message(b"{}"))
    assert Scripted.tokens == ["Bearer t"]


def test_secret_that_cannot_be_read_is_told(scripted: str, tmp_path: Path) -> None:
    """An unreadable secret is reported, and the delivery waits for an administrator."""
    destination = server(
        scripted, token_url=f"{scripted}/token", client_id="echo", client_secret_file=tmp_path / "missing"
    )
    with pytest.raises(DeliveryFailed, match="secret"), open_fhir(destination):
        pass

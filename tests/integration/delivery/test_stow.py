"""Sending by STOW-RS: to a real Orthanc, and to servers with other answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agent.commands.demo.orthanc import Orthanc
from agent.database.session import Database
from agent.delivery.ways import open_way
from agent.foundation.errors import CommitmentFailed, DeliveryFailed, DeliveryRefused
from agent.foundation.settings.tree import DestinationSettings
from agent.network.commitment_terms import CommitmentItem
from agent.network.store_scu import ConnectionLost
from agent.network.stow import check_reachable, holds
from tests.integration.delivery.outbox import delivery_states, outbox, running, state_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
Serve = Callable[[int, Any], tuple[DestinationSettings, list[bytes]]]


def destination(url: str) -> DestinationSettings:
    """A DICOMweb destination."""
    return DestinationSettings(name="web", stow_url=url, timeout_s=5)


def send(where: DestinationSettings, *documents: Any) -> list[str]:
    """Send documents."""
    with open_way(where, [one.sop_class_uid for one in documents]) as connection:
        return [connection.store(one) for one in documents]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers each POST with a status and a JSON body."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, answer: Any) -> tuple[DestinationSettings, list[bytes]]:
        bodies: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer()

            def _answer(self) -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self._answer()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return destination(f"http://127.0.0.1:{server.server_port}/dicom-web"), bodies

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def failed_with(reason: int) -> dict[str, Any]:
    """An answer with one failed instance."""
    item = {"00081197": {"vr": "US", "Value": [reason]}}
    return {"00081198": {"vr": "SQ", "Value": [item]}}


def test_stow_sends_the_stored_file(serve: Serve, letters: Letters) -> None:
    """The body contains the Part 10 file, byte for byte."""
    where, bodies = serve(200, {})
    (findings, report) = letters(1)
    assert send(where, findings, report) == [None, None]
    assert findings.content in bodies[0]
    assert report.content in bodies[1]


@pytest.mark.parametrize(
    ("status", "answer", "raised"),
    [
        (500, {}, DeliveryFailed),
        (401, {}, DeliveryFailed),
        (415, {}, DeliveryRefused),
        (400, {}, DeliveryRefused),
        (409, failed_with(0x0122), DeliveryRefused),
        (409, failed_with(0xA700), DeliveryFailed),
        (409, {}, DeliveryFailed),
        (202, failed_with(0xA900), DeliveryRefused),
    ],
)
def test_stow_answers_mean_what_the_outbox_needs(
    serve: Serve, letters: Letters, status: int, answer: Any, raised: type[Exception]
) -> None:
    """HTTP status and failure reasons mean either a permanent refusal or another attempt."""
    where, _bodies = serve(status, answer)
    with pytest.raises(raised) as caught:
        send(where, letters(1)[0])
    assert not isinstance(caught.value, ConnectionLost)


def test_stow_instance_that_is_there_already_is_stored(serve: Serve, letters: Letters) -> None:
    """A duplicate is the same document: its UID is derived from its content."""
    where, _bodies = serve(409, failed_with(0x0111))
    assert send(where, letters(1)[0]) == [None]


def test_stow_nobody_listening_is_lost(letters: Letters, free_port: int) -> None:
    """A failed connection counts for the breaker."""
    with pytest.raises(ConnectionLost):
        send(destination(f"http://127.0.0.1:{free_port}"), letters(1)[0])


def test_stow_orthanc_keeps_the_same_bytes(orthanc: Orthanc, letters: Letters) -> None:
    """A real archive accepts both documents twice by DICOMweb, and holds each once."""
    if not orthanc.dicomweb:
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    documents = letters(78)
    for _ in range(2):
        assert send(destination(f"{orthanc.url}/dicom-web"), *documents) == [None, None]
    held = orthanc.documents("1.2.840.99.78")
    assert set(held) == {one.content for one in documents}
    assert len(held) == 2


def test_stow_server_is_reachable_or_not(orthanc: Orthanc, free_port: int) -> None:
    """`doctor` queries the DICOMweb root."""
    if not orthanc.dicomweb:
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    check_reachable(destination(f"{orthanc.url}/dicom-web"))
    with pytest.raises(DeliveryFailed, match="404"):
        check_reachable(destination(f"{orthanc.url}/no-such-root"))
    with pytest.raises(ConnectionLost, match="nothing listens"):
        check_reachable(destination(f"http://127.0.0.1:{free_port}"))


@pytest.mark.parametrize(
    ("values", "loopback"),
    [
        ({"stow_url": "http://127.0.0.1:8042/dicom-web"}, True),
        ({"stow_url": "https://[::1]/x"}, True),
        ({"stow_url": "https://pacs.example/dicom-web"}, False),
        ({"host": "127.0.0.1", "stow_url": "https://pacs.example/"}, False),
        ({"host": "127.0.0.1"}, True),
    ],
)
def test_stow_url_counts_for_the_demonstration_models_refusal(values: dict[str, Any], loopback: bool) -> None:
    """A destination with a remote web address is remote."""
    assert DestinationSettings(name="x", **values).loopback == loopback


def item_of(letter: Any, number: int) -> CommitmentItem:
    """A stored document to query."""
    return CommitmentItem(
        delivery_id=1,
        transaction_uid=None,
        attempts=1,
        sop_class_uid=letter.sop_class_uid,
        sop_instance_uid=letter.sop_instance_uid,
        series_instance_uid=letter.series_instance_uid,
        study_instance_uid=f"1.2.840.99.{number}",
    )


def instance(uid: str) -> dict[str, Any]:
    """One result of a search."""
    return {"00080018": {"vr": "UI", "Value": [uid]}}


def test_stow_server_is_asked_what_it_holds(serve: Serve, letters: Letters) -> None:
    """An answer counts only for the instance that it names, whatever filter the server supports."""
    findings, _report = letters(1)
    held, _bodies = serve(200, [instance("1.2.3"), instance(findings.sop_instance_uid)])
    others, _bodies = serve(200, [instance("1.2.3")])
    nothing, _bodies = serve(200, [])
    gone, _bodies = serve(404, {})
    item = item_of(findings, 1)
    assert holds(held, [item]) == {findings.sop_instance_uid}
    assert [holds(one, [item]) for one in (others, nothing, gone)] == [frozenset()] * 3


def test_stow_search_that_fails_is_asked_again(serve: Serve, letters: Letters, free_port: int) -> None:
    """A server's error does not show what it holds."""
    item = item_of(letters(1)[0], 1)
    failing, _bodies = serve(500, {})
    with pytest.raises(CommitmentFailed, match="500"):
        holds(failing, [item])
    odd, _bodies = serve(200, {"00080018": 1})
    with pytest.raises(CommitmentFailed):
        holds(odd, [item])
    with pytest.raises(ConnectionLost):
        holds(destination(f"http://127.0.0.1:{free_port}"), [item])


def test_stow_commitment_by_search_with_a_real_orthanc(
    both_databases: Database, orthanc: Orthanc, letters: Letters
) -> None:
    """Sent by STOW-RS and found by QIDO-RS: COMMITTED."""
    if not orthanc.dicomweb:
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    number = 8000 if both_databases.is_sqlite else 8001
    where = destination(f"{orthanc.url}/dicom-web").model_copy(update={"commitment": True})
    job_id = outbox(both_databases, letters(number), number, "web")
    end = running(both_databases, where)
    try:
        wait_for(lambda: delivery_states(both_databases) == ["COMMITTED", "COMMITTED"])
    finally:
        end()
    assert state_of(both_databases, job_id) == "DELIVERED"
    assert set(orthanc.documents(f"1.2.840.99.{number}")) == {one.content for one in letters(number)}

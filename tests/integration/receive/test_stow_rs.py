"""Storage over HTTP: other clients' requests, hostile bodies, and the same durability as C-STORE."""

from __future__ import annotations

import http.client
import io
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage
from sqlalchemy import func, select

from agent.commands.demo.orthanc import Orthanc
from agent.database.audit.record import Event
from agent.database.session import Database
from agent.database.tables import Instance, Quarantined, Study
from agent.foundation.settings.tree import ListenerSettings, Settings, StowSettings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.service.http_server import HttpServer, stow_server
from agent.web.limits import MAXIMUM_CONNECTIONS
from tests.support.films import chest_film, file_bytes, with_meta

pytestmark = pytest.mark.integration
BOUNDARY = "echo-test-boundary"
TOKEN = "0123456789abcdef"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
Make = Callable[..., HttpServer]


@pytest.fixture
def events() -> list[Event]:
    """The recorded audit events."""
    return []


@pytest.fixture
def serve(database: Database, tmp_path: Path, events: list[Event]) -> Iterator[Make]:
    """Start STOW-RS; keywords are settings of the listener."""
    running: list[HttpServer] = []

    def make(stow: dict[str, Any] | None = None, *, min_free_mb: float = 0, **values: Any) -> HttpServer:
        listener = ListenerSettings(stow=StowSettings(port=0, **(stow or {})), **values)
        store = InstanceStore(tmp_path / "instances", min_free_mb)
        intake = Intake(database, Settings().studies)
        server = stow_server(listener, store, intake, events.append)
        assert server is not None
        server.start()
        running.append(server)
        return server

    yield make
    for server in running:
        server.stop()


def film(number: int = 1, **values: object) -> Dataset:
    named = {
        "StudyInstanceUID": "1.2.3.7",
        "SeriesInstanceUID": "1.2.3.7.1",
        "SOPInstanceUID": f"1.2.3.7.1.{number}",
        "PatientID": "P7",
    }
    return with_meta(chest_film(**(named | values)))


def body(*parts: bytes, kind: str = "application/dicom") -> bytes:
    made = b"".join(
        b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), kind.encode(), one) for one in parts
    )
    return made + b"--%s--\r\n" % BOUNDARY.encode()


def post(
    server: HttpServer,
    content: bytes,
    *,
    path: str = "/studies",
    media: str = RELATED,
    token: str = "",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Send a request; return status and body, and put the answer's headers into `headers`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = {"Content-Type": media, **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        connection.request("POST", path, content, sent)
        answer = connection.getresponse()
        if headers is not None:
            headers.update((name.lower(), value) for name, value in answer.getheaders())
        read = answer.read()
    finally:
        connection.close()
    is_json = "json" in (answer.getheader("Content-Type") or "")
    return answer.status, json.loads(read) if is_json else read.decode()


def stored_files(folder: Path) -> list[Path]:
    """The files that the store has written."""
    return [one for one in (folder / "instances").rglob("*") if one.is_file()]


def head_of(content: bytes) -> bytes:
    lines = (
        "POST /studies HTTP/1.1",
        "Host: x",
        f"Content-Type: {RELATED}",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def count(database: Database, table: Any) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_another_client_stores_and_hears_what_was_taken(serve: Make, database: Database) -> None:
    """Two films that dicomweb-client sends in one request are stored and named in the answer."""
    server = serve()
    client = DICOMwebClient(f"http://127.0.0.1:{server.port}")
    films = [dcmread_bytes(file_bytes(film(number))) for number in (1, 2)]
    answer = client.store_instances(films)
    taken = {str(one.ReferencedSOPInstanceUID) for one in answer.ReferencedSOPSequence}
    assert taken == {"1.2.3.7.1.1", "1.2.3.7.1.2"}
    assert "FailedSOPSequence" not in answer
    assert count(database, Instance) == 2
    with database.reading() as session:
        assert session.scalars(select(Study.calling_ae_title)).one() == "STOW"


def dcmread_bytes(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content))


def test_orthanc_sends_a_study(serve: Make, database: Database, orthanc: Orthanc) -> None:
    """A real archive's DICOMweb client is served like any other sender."""
    if not orthanc.dicomweb:
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    server = serve()

    def ask(method: str, path: str, content: bytes) -> Any:
        request = urllib.request.Request(f"{orthanc.url}{path}", data=content, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            read = answer.read()
        return json.loads(read) if read.strip() else None

    stored = ask("POST", "/instances", file_bytes(film(9, StudyInstanceUID="1.2.3.8")))
    ask("PUT", "/dicom-web/servers/echo", json.dumps({"Url": f"http://127.0.0.1:{server.port}"}).encode())
    ask("POST", "/dicom-web/servers/echo/stow", json.dumps({"Resources": [stored["ID"]]}).encode())
    with database.reading() as session:
        assert session.scalars(select(Study.study_instance_uid)).all() == ["1.2.3.8"]


def test_same_object_again_is_taken_and_changes_nothing(serve: Make, database: Database) -> None:
    """A repeated request is answered with success."""
    server = serve()
    sent = body(file_bytes(film()))
    assert [post(server, sent)[0] for _ in range(3)] == [200, 200, 200]
    assert count(database, Instance) == 1


def test_some_taken_is_202_and_none_is_409(serve: Make, database: Database) -> None:
    """Another SOP class, an unknown transfer syntax, rubbish or a wrong study fails with a reason."""
    server = serve()
    ct = film(2, SOPClassUID=CTImageStorage)
    status, answer = post(server, body(file_bytes(film()), file_bytes(ct), b"rubbish", written(film(3))))
    assert status == 202
    reasons = [one["00081197"]["Value"][0] for one in answer["00081198"]["Value"]]
    assert reasons == [0x0122, 0xC000, 0x0122]
    status, answer = post(server, body(file_bytes(film(4))), path="/studies/9.9.9")
    assert (status, answer["00081198"]["Value"][0]["00081197"]["Value"]) == (409, [0xA900])
    assert count(database, Instance) == 2


def written(dataset: Dataset) -> bytes:
    """A file whose meta information names an invalid transfer syntax, of the same length in bytes."""
    content = file_bytes(dataset)
    return content[:400].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0") + content[400:]


def test_object_that_contradicts_its_meta_information_is_quarantined(serve: Make, database: Database) -> None:
    """As with C-STORE, the bytes are kept but never drafted."""
    server = serve()
    lying = film()
    content = file_bytes(lying).replace(b"1.2.3.7.1.1", b"1.2.3.7.1.8", 1)
    status, answer = post(server, body(content))
    assert (status, answer["00081198"]["Value"][0]["00081197"]["Value"]) == (409, [0xA900])
    assert count(database, Quarantined) == 1


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"", RELATED, 400),
        (b"no boundary here", RELATED, 400),
        (body(b"x")[:-8], RELATED, 400),
        (body(), RELATED, 400),
        (body(b"x", kind="image/jpeg"), RELATED, 415),
        (body(b"x"), "application/dicom", 415),
        (body(b"x"), f"multipart/form-data; boundary={BOUNDARY}", 415),
        (body(b"x"), f'multipart/related; type="application/dicom+xml"; boundary={BOUNDARY}', 415),
        (body(b"x"), 'multipart/related; type="application/dicom"', 400),
        (body(b"x"), f'multipart/related; type="application/dicom"; boundary={"b" * 201}', 400),
    ],
)
def test_body_that_cannot_be_read_is_refused(
    serve: Make, database: Database, content: bytes, media: str, status: int
) -> None:
    """An unreadable body is answered with the right status, and no object is stored."""
    assert post(serve(), content, media=media)[0] == status
    assert count(database, Instance) == 0


def test_object_that_is_too_long_is_refused_and_what_came_before_stays(
    serve: Make, database: Database
) -> None:
    """413; the first part is stored durably, and counts as stored if it is sent again."""
    server = serve(maximum_object_mb=0.5)
    status, _answer = post(server, body(file_bytes(film()), b"x" * 600_000))
    assert status == 413
    assert count(database, Instance) == 1


def test_full_disk_is_told_to_try_again(serve: Make, database: Database, tmp_path: Path) -> None:
    """503 with the time after which the sender retries (RFC 9110 10.2.3), and nothing is kept."""
    headers: dict[str, str] = {}
    status, answer = post(serve(min_free_mb=10**9), body(file_bytes(film())), headers=headers)
    assert int(headers["retry-after"]) > 0
    assert (status, answer["00081198"]["Value"][0]["00081197"]["Value"]) == (503, [0xA700])
    assert (count(database, Instance), count(database, Quarantined)) == (0, 0)
    assert stored_files(tmp_path) == []


def test_sender_is_told_when_to_try_again_while_too_much_arrives(serve: Make) -> None:
    """503 with the time here too: more bytes than `listener.maximum_in_flight_mb` are on their way."""
    headers: dict[str, str] = {}
    content = body(file_bytes(film()), b"x" * 300_000)
    assert post(serve(maximum_in_flight_mb=0.05), content, headers=headers)[0] == 503
    assert int(headers["retry-after"]) > 0


def test_token_stands_for_an_ae_title(serve: Make, database: Database, events: list[Event]) -> None:
    """Without the token a request is answered 401 and audited; with it the sender has its AE title."""
    server = serve({"senders": [{"ae_title": "CR_NORTH", "token": TOKEN}]})
    sent = body(file_bytes(film()))
    assert post(server, sent)[0] == 401
    assert post(server, sent, token="another-token-of-length")[0] == 401
    assert post(server, sent, token=TOKEN)[0] == 200
    assert [one.details.get("reason_code") for one in events] == ["no-token", "no-token"]
    with database.reading() as session:
        assert session.scalars(select(Study.calling_ae_title)).one() == "CR_NORTH"


def test_sender_that_goes_away_leaves_nothing_behind(serve: Make, database: Database) -> None:
    """A partial object is not kept; the next request is served."""
    server = serve()
    sent = body(file_bytes(film()))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head_of(sent) + sent[: len(sent) // 2])
    assert post(server, sent)[0] == 200
    assert count(database, Instance) == 1


def test_sender_that_falls_silent_is_ended(serve: Make) -> None:
    """A body that stops arriving is answered 408, and its bytes are released."""
    server = serve(network_timeout_s=2, maximum_in_flight_mb=1)
    sent = body(file_bytes(film()))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head_of(sent) + sent[:1000])
        assert b"408" in connection.recv(1000)
    assert post(server, sent)[0] == 200


def test_silent_connections_keep_no_sender_out(serve: Make) -> None:
    """With more silent connections than the server keeps, the next request is still answered."""
    server = serve()
    with ExitStack() as held:
        for _ in range(MAXIMUM_CONNECTIONS + 8):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        assert post(server, body(file_bytes(film())))[0] == 200

"""The doctor recognises what answers at a port, whatever protocol was expected there."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.commands.doctor import Check, CheckResult, examine
from agent.database.session import Database
from agent.foundation.settings.tree import DestinationSettings, ListenerSettings, Settings, StorageSettings
from agent.network.port_probe import HL7_OPENING, PortState, probe_dicom, probe_port, probe_url
from tests.support.raw_server import raw_server

REJECTION = b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07"
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"
ANSWERS: list[tuple[bytes | str | None, PortState]] = [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", PortState.HTTP),
    (b"SSH-2.0-OpenSSH_9.2\r\n", PortState.OTHER),
    (b"2", PortState.OTHER),
    (b"\x15\x03\x01\x00\x02\x02\x46", PortState.TLS),
    (REJECTION, PortState.DICOM),
    (ABORT, PortState.DICOM),
    (b"\x0bMSH|^~\\&|", PortState.HL7),
    (b"", PortState.CLOSED),
    (None, PortState.SILENT),
    ("reset", PortState.RESET),
]


@contextmanager
def peer(answer: bytes | str | None, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers each connection once, keeps silent (None) or resets ("reset"). Yield its port."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        active = context.wrap_socket(connection, server_side=True) if context else connection
        with active:
            active.recv(4096)
            if answer == "reset":
                active.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif isinstance(answer, bytes):
                active.sendall(answer)
            else:
                over.wait()

    with raw_server(serve) as port:
        yield port


@pytest.mark.parametrize(("answer", "state"), ANSWERS)
def test_probe_tells_what_is_at_a_port(answer: bytes | str | None, state: PortState) -> None:
    """Each kind of answer gives the same state, whatever protocol was expected."""
    patience = 0.2 if answer is None else 20.0
    with peer(answer) as port:
        found = {
            probe_dicom("127.0.0.1", port, calling="US", called="THEM", timeout_s=patience),
            probe_url(f"http://127.0.0.1:{port}/fhir", timeout_s=patience),
            probe_port("127.0.0.1", port, HL7_OPENING, timeout_s=patience),
        }
    assert found == {state}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (REJECTION, PortState.PLAIN),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", PortState.PLAIN),
        (b"SSH-2.0-OpenSSH_9.2\r\n", PortState.PLAIN),
        (b"", PortState.CLOSED),
        (None, PortState.SILENT),
        ("reset", PortState.RESET),
    ],
)
def test_probe_with_tls_tells_a_port_without(answer: bytes | str | None, state: PortState) -> None:
    """A port without TLS is distinguished from one that is silent, closed or reset."""
    patience = 0.2 if answer is None else 20.0
    with peer(answer) as port:
        found = {
            probe_dicom("127.0.0.1", port, calling="US", called="THEM", timeout_s=patience, tls=True),
            probe_url(f"https://127.0.0.1:{port}/fhir", timeout_s=patience),
        }
    assert found == {state}


def test_probe_tells_a_refused_port_and_an_unknown_host(free_port: int) -> None:
    """A port where nothing listens is distinguished from a host name that does not exist."""
    assert probe_url(f"http://127.0.0.1:{free_port}", timeout_s=20) is PortState.REFUSED
    assert probe_url("http://no-such-host.invalid", timeout_s=20) is PortState.UNKNOWN_HOST


def destinations(port: int, timeout_s: float) -> dict[str, DestinationSettings]:
    """A destination of each kind, all at one port."""
    url = f"http://127.0.0.1:{port}/api"
    made = {
        "dicom": {"host": "127.0.0.1", "port": port, "ae_title": "THEM"},
        "hl7": {"host": "127.0.0.1", "port": port, "hl7": {"receiving_application": "RIS"}},
        "fhir": {"fhir": {"url": url}},
        "stow": {"stow_url": url},
    }
    return {
        kind: DestinationSettings.model_validate(
            {"name": kind, "kind": kind, "timeout_s": timeout_s} | values
        )
        for kind, values in made.items()
    }


@pytest.mark.parametrize(
    ("answer", "kinds", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", ("dicom", "hl7"), "a web server answers"),
        (ABORT, ("hl7", "fhir", "stow"), "a DICOM service answers"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ("dicom", "hl7", "fhir", "stow"), "another protocol answers"),
        (b"\x15\x03\x01\x00\x02\x02\x46", ("dicom", "hl7", "fhir", "stow"), "the port speaks TLS"),
        (b"", ("dicom", "hl7", "fhir", "stow"), "closed without an answer"),
        ("reset", ("dicom", "hl7", "fhir", "stow"), "is reset"),
        (None, ("dicom", "fhir", "stow"), "does not answer"),
    ],
)
def test_doctor_says_what_is_at_the_port_of_each_kind_of_destination(
    answer: bytes | str | None, kinds: tuple[str, ...], words: str, database: Database, ask: Ask
) -> None:
    """HL7, FHIR and STOW destinations are examined as a PACS is."""
    with peer(answer) as port:
        there = destinations(port, 0.3 if answer is None else 20)
        found = ask(*(there[kind] for kind in kinds))
    assert {kind for kind in kinds if words not in found[kind]} == set(), found


def test_silent_receiver_of_hl7_is_right(database: Database, ask: Ask) -> None:
    """It waits for the end of a frame, as it should."""
    with peer(None) as port:
        assert "accepts connections" in ask(destinations(port, 0.3)["hl7"])["hl7"]


def test_doctor_says_what_is_at_the_endpoint_of_a_bucket(free_port: int, tmp_path: Path) -> None:
    """An endpoint where nothing listens is not reported as a problem of credentials."""
    from agent.commands import doctor

    pytest.importorskip("s3fs", reason="s3fs is not installed")
    storage = StorageSettings(
        path=tmp_path, url="s3://bucket/films", endpoint_url=f"http://127.0.0.1:{free_port}"
    )
    found = doctor._bucket(Settings(storage=storage))
    assert (found.verdict, "nothing listens at this port" in found.found) == (CheckResult.WRONG, True)


Ask = Callable[..., dict[str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database) -> Ask:
    """Examine destinations; return what was found by kind."""
    model = Check(name="model", verdict=CheckResult.RIGHT, found="none")
    monkeypatch.setattr("agent.commands.doctor._model", lambda _settings: model)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def asked(*these: DestinationSettings) -> dict[str, str]:
        settings = Settings(
            storage=StorageSettings(path=tmp_path / "instances", min_free_mb=0),
            listener=ListenerSettings(port=0),
            destinations=these,
        )
        found = {one.name: one.found for one in examine(settings, lambda: database)}
        return {one.name: found[f"destination {one.name}"] for one in these}

    return asked

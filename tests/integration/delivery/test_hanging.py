"""No wait on an association lasts for ever: after a dead thread, or a slow peer, it ends and is logged."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
import structlog

from agent.database.session import Database
from agent.delivery.deliverer import Deliverer
from agent.delivery.ways import open_way
from agent.foundation.errors import ArchiveLate, ArchiveUnavailable
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings, Settings
from agent.network import association_guard
from agent.network.archive import connect_archive
from agent.network.scu import ConnectionLost
from agent.network.store_scu import StorageConnection, echo, open_connection
from agent.network.stow import check_reachable
from tests.integration.delivery.conftest import Letter
from tests.integration.delivery.outbox import QUICK, outbox, state_of
from tests.support.raw_server import raw_server
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
Letters = Callable[[int], Any]
MakePacs = Callable[..., Any]
# Longer (s) than any of these waits may last, on a busy machine too; it catches what hangs.
BOUND_S = 60.0
BUNDLE = Letter(
    sop_class_uid="", sop_instance_uid="", series_instance_uid="", content=b'{"resourceType": "Bundle"}'
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow a thread half a second beyond the time-out."""
    monkeypatch.setattr(association_guard, "_GRACE_S", 0.5)


def dies(*_arguments: Any, **_named: Any) -> None:
    """Stand for an error of the library, or of ours, in one of its threads."""
    raise RuntimeError("a fault")


def ended(act: Callable[[], Any]) -> Exception | None:
    """Do something in a thread that may hang; return what it raised.

    Raises:
        AssertionError: it hangs.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - outermost of a thread
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND_S)
    assert not thread.is_alive(), "it hangs"
    return raised[0] if raised else None


def kill_reactor(association: Any) -> None:
    """End the thread that serves the association in the middle of its loop."""
    association.dul.idle_timer_expired = dies
    association.join(BOUND_S)


def kill_provider(association: Any) -> None:
    """End the thread that reads and writes."""
    association.dul._process_recv_primitive = dies
    association.dul.join(BOUND_S)


def kill_state_machine(association: Any) -> None:
    """End the thread that reads and writes at a point where the library does not expect it."""
    association.dul.state_machine.do_action = dies
    association.dul.event_queue.put("Evt9")
    association.dul.join(BOUND_S)


@pytest.mark.parametrize("kill", [kill_reactor, kill_provider, kill_state_machine])
def test_store_ends_when_a_thread_of_the_association_has_died(
    kill: Callable[[Any], None], pacs: MakePacs, letters: Letters
) -> None:
    """The document is returned to be sent again; nothing waits for a thread that has ended."""
    destination = pacs().start()
    document = letters(1)[0]

    def send() -> None:
        with open_connection(destination, [document.sop_class_uid]) as connection:
            kill(connection._association)
            connection.store(document)

    assert isinstance(ended(send), ConnectionLost)


def test_release_ends_when_the_thread_of_the_association_has_died(pacs: MakePacs, letters: Letters) -> None:
    """A stored document remains stored; the end of the association is logged as an error."""
    destination = pacs().start()
    document = letters(1)[0]

    def send() -> None:
        with open_connection(destination, [document.sop_class_uid]) as connection:
            assert connection.store(document) is None
            kill_reactor(connection._association)

    with structlog.testing.capture_logs() as logs:
        assert ended(send) is None
    assert [(one["event"], one["code"]) for one in logs] == [("association_ended", "thread-died")]


def test_store_ends_when_the_thread_of_the_association_hangs(pacs: MakePacs, letters: Letters) -> None:
    """A thread that lives but never returns is treated like a dead one."""
    destination = pacs().start().model_copy(update={"timeout_s": 0.5})
    document = letters(1)[0]
    held, over = threading.Event(), threading.Event()

    def hang() -> bool:
        held.set()
        over.wait(BOUND_S)
        return False

    def send() -> None:
        with open_connection(destination, [document.sop_class_uid]) as connection:
            connection._association.dul.idle_timer_expired = hang  # type: ignore[method-assign]
            held.wait(BOUND_S)
            connection.store(document)

    with structlog.testing.capture_logs() as logs:
        error = ended(send)
    over.set()
    assert isinstance(error, ConnectionLost)
    assert [(one["event"], one["code"]) for one in logs] == [("association_ended", "thread-hangs")]


@contextmanager
def dripping(start: bytes = b"\x02\x00\x00\x10\x00\x00") -> Iterator[int]:
    """A port whose answer takes days to arrive: a start, such as that of a PDU, then byte after byte.

    Yield its port.
    """

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(start)
        while not over.wait(0.05):
            connection.sendall(b"0")

    with raw_server(serve) as port:
        yield port


def test_a_peer_that_drips_its_answer_is_given_up() -> None:
    """Each byte arrives in time, but the answer never does."""
    with dripping() as port:
        peer = DestinationSettings(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", timeout_s=0.5)
        began = time.monotonic()
        assert isinstance(ended(lambda: echo(peer)), ConnectionLost)
        assert time.monotonic() - began < BOUND_S


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "start",
    [HEAD + b"X-More: ", HEAD + b"Content-Length: 9000\r\n\r\n[", HEAD + b"\r\n["],
    ids=["in-the-head", "in-the-body", "without-a-length"],
)
@pytest.mark.parametrize("kind", ["stow", "fhir", "query", "archive"])
def test_a_web_server_that_drips_its_answer_is_given_up(kind: str, start: bytes, letters: Letters) -> None:
    """The time limit of the HTTP library applies to each byte; ours applies to the whole answer."""
    document = letters(1)[0]
    with dripping(start) as port:
        url = f"http://127.0.0.1:{port}/api"
        stow = DestinationSettings(name="pacs", kind="stow", stow_url=url, timeout_s=0.5)

        def send() -> None:
            if kind == "fhir":
                at = DestinationSettings.model_validate(
                    {"name": "ris", "kind": "fhir", "fhir": {"url": url}, "timeout_s": 0.5}
                )
                with open_way(at, []) as connection:
                    connection.store(BUNDLE)
            elif kind == "stow":
                with open_way(stow, []) as connection:
                    connection.store(document)
            elif kind == "query":
                check_reachable(stow)
            else:
                with connect_archive(ArchiveSettings(url=url, timeout_s=0.5), 1.5) as archive:
                    archive.study("2.25.1")

        error = ended(send)
    assert isinstance(error, ConnectionLost | ArchiveLate | ArchiveUnavailable), error
    assert "in time" in str(error)


@pytest.mark.parametrize("kill", [kill_reactor, kill_state_machine])
def test_deliverer_sends_again_what_a_dead_thread_left(
    kill: Callable[[Any], None], database: Database, pacs: MakePacs, letters: Letters
) -> None:
    """The first association loses a thread during the first document; the second one sends both."""
    peer = pacs()
    job_id = outbox(database, letters(1), 1, "pacs")
    wounded: list[str] = []

    @contextmanager
    def connect(at: DestinationSettings, classes: Iterable[str]) -> Iterator[StorageConnection]:
        with open_connection(at, classes) as connection:
            if not wounded:
                wounded.append(at.name)
                kill(connection._association)
            yield connection

    settings = Settings(destinations=(peer.start(),), delivery=QUICK)
    deliverer = Deliverer(database, settings, owner="test", chance=Random(1), connect=connect)
    stop = threading.Event()
    thread = threading.Thread(target=deliverer.run, args=(stop,), daemon=True)
    thread.start()
    try:
        wait_for(lambda: state_of(database, job_id) == "DELIVERED")
    finally:
        stop.set()
        thread.join(BOUND_S)
    assert wounded == ["pacs"]
    assert sorted(peer.uids) == sorted(one.sop_instance_uid for one in letters(1))

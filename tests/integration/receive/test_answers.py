"""Every row of the table of answers: the status sent, and what is counted and audited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.database.audit.record import Action, Recorder
from agent.database.session import Database
from agent.database.tables import AuditEvent
from agent.foundation.errors import DatabaseUnavailable, StorageFull
from agent.foundation.settings.tree import AllowedPeer
from agent.network.contexts import CR_IMAGE, SECONDARY_CAPTURE
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.receive.messages import BoundedMessages
from agent.receive.peers import PeerPolicy
from tests.integration.receive.peer import (
    Listener,
    associate,
    data_pdus,
    echo_works,
    read_pdu,
    request_pdu,
    status_of,
    store_command,
)
from tests.support.films import bare_film, dataset_bytes

pytestmark = pytest.mark.integration
Start = Callable[..., Listener]
COMMAND = store_command(CR_IMAGE.encode(), b"1.2.3.1.1")


def answer(listener: Listener, command: bytes = COMMAND, dataset: Dataset | bytes | None = None) -> int:
    """Send one object by hand; return the status."""
    content = dataset if isinstance(dataset, bytes) else dataset_bytes(dataset or bare_film())
    connection = listener.connect()
    connection.sendall(request_pdu())
    assert read_pdu(connection)[0] == 2
    connection.sendall(data_pdus(1, True, command) + data_pdus(1, False, content))
    kind, body = read_pdu(connection)
    assert kind == 4
    return status_of(body)


def failures(listener: Listener) -> list[tuple[str, str, str, str | None]]:
    """The audited failures: caller, address, status and code."""
    return [
        (one.actor, one.address, one.details["status"], one.details["code"])
        for one in listener.noted
        if one.action is Action.NOT_TAKEN
    ]


def raising(error: Exception) -> Callable[..., None]:
    """Return a function that raises an error."""

    def fail(*_arguments: object, **_values: object) -> None:
        raise error

    return fail


def test_success_is_no_failure(start: Start) -> None:
    """0x0000: only the association is audited here; the object and its row are stored."""
    listener = start()
    assert answer(listener) == 0x0000
    assert [one.action for one in listener.noted] == [Action.ASSOCIATION]
    assert listener.instances() == 1


@pytest.mark.parametrize(
    ("place", "name", "error", "status", "code"),
    [
        (InstanceStore, "put", StorageFull("full"), 0xA700, "storage-full"),
        (Intake, "receive", DatabaseUnavailable("down"), 0xA700, "database-unavailable"),
        (Intake, "receive", KeyError("DOE^JANE"), 0x0110, "unexpected"),
    ],
    ids=["disk-low", "database-down", "unforeseen"],
)
def test_trouble_inside_is_answered_and_on_record(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    place: type,
    name: str,
    error: Exception,
    status: int,
    code: str,
) -> None:
    """0xA700 if a retry helps, 0x0110 for an unforeseen error; no instance is stored."""
    listener = start()
    monkeypatch.setattr(place, name, raising(error))
    assert answer(listener) == status
    assert failures(listener) == [("CR1", "127.0.0.1", f"{status:04X}", code)]
    assert (listener.count(f"status-{status:04X}"), listener.count(code)) == (1, 1)
    assert listener.instances() == 0


def test_object_that_begins_during_the_stop_is_put_off(start: Start) -> None:
    """0xA700 while stopping, so that the sender retries; an object begun earlier is finished first."""
    listener = start()
    first, late = listener.connect(), listener.connect()
    for connection in (first, late):
        connection.sendall(request_pdu())
        assert read_pdu(connection)[0] == 2
    content = data_pdus(1, False, dataset_bytes(bare_film()), size=100)
    half = len(content) // 2
    first.sendall(data_pdus(1, True, COMMAND) + content[:half])
    listener.until(lambda: listener.scp.about()["in_flight_bytes"] > 0)
    stopping = threading.Thread(target=listener.scp.stop, args=(20,))
    stopping.start()
    listener.until(lambda: listener.scp._draining_since is not None)
    late.sendall(data_pdus(1, True, COMMAND) + content)
    kind, body = read_pdu(late)
    assert (kind, status_of(body)) == (4, 0xA700)
    first.sendall(content[half:])
    kind, body = read_pdu(first)
    assert (kind, status_of(body)) == (4, 0x0000)
    stopping.join(20)
    assert ("CR1", "127.0.0.1", "A700", "stopping") in failures(listener)


def test_stop_waits_until_an_answer_has_gone_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object stored while the listener stops is acknowledged, however slowly the answer is sent."""
    answering, polled = threading.Event(), threading.Event()
    send = BoundedMessages.send_msg

    def send_late(self: BoundedMessages, *arguments: Any) -> None:
        answering.set()
        polled.wait(0.5)  # many iterations of the stop's own loop
        send(self, *arguments)

    monkeypatch.setattr(BoundedMessages, "send_msg", send_late)
    listener = start()
    connection = listener.connect()
    connection.sendall(request_pdu())
    assert read_pdu(connection)[0] == 2
    connection.sendall(data_pdus(1, True, COMMAND) + data_pdus(1, False, dataset_bytes(bare_film())))
    assert answering.wait(120)
    listener.scp.stop(20)
    kind, body = read_pdu(connection)
    assert (kind, status_of(body)) == (4, 0x0000)


@pytest.mark.parametrize(
    ("command", "dataset", "status", "code"),
    [
        (store_command(CR_IMAGE.encode(), b"1.2.3.9"), bare_film(), 0xA900, "object-mismatch"),
        (COMMAND, bare_film(SOPClassUID=SECONDARY_CAPTURE), 0xA900, "object-mismatch"),
        (COMMAND, dataset_bytes(bare_film())[:-7], 0xC000, "instance-unreadable"),
        (COMMAND, bare_film(StudyInstanceUID=""), 0xC000, "instance-unreadable"),
        (
            store_command(SECONDARY_CAPTURE.encode(), b"1.2.3.1.1"),
            bare_film(SOPClassUID=SECONDARY_CAPTURE),
            0x0122,
            "class-not-negotiated",
        ),
    ],
    ids=["other-instance", "other-class", "cut-off", "no-study", "class-of-another-context"],
)
def test_objects_that_are_wrong_are_answered_and_on_record(
    start: Start, command: bytes, dataset: Dataset | bytes, status: int, code: str
) -> None:
    """0xA900, 0xC000 and 0x0122 name what is wrong with the object."""
    listener = start()
    assert answer(listener, command, dataset) == status
    assert failures(listener) == [("CR1", "127.0.0.1", f"{status:04X}", code)]
    assert listener.instances() == 0


def test_association_that_nobody_admitted_may_do_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0x0124: if the admission check itself fails, the peer is treated as unknown."""
    listener = start()
    monkeypatch.setattr(PeerPolicy, "judge", raising(KeyError("broken")))
    assert answer(listener) == 0x0124
    assert failures(listener) == [("CR1", "127.0.0.1", "0124", "not-admitted")]
    assert not echo_works(listener)
    assert listener.instances() == 0


def test_rejections_are_counted_and_on_record(start: Start) -> None:
    """The audit says who was rejected, from where, and why."""
    listener = start(allow=(AllowedPeer(ae_title="CR1", address="127.0.0.0/8"),), maximum_associations=1)
    associate(listener, "STRANGER")
    associate(listener, "CR1", "WRONG")
    held = associate(listener)
    associate(listener)
    held.release()
    refused = [
        (one.actor, one.address, one.details["called"], one.details["reason_code"])
        for one in listener.noted
        if one.action is Action.REFUSED
    ]
    assert refused == [
        ("STRANGER", "127.0.0.1", "ECHO_AGENT", "unknown-caller"),
        ("CR1", "127.0.0.1", "WRONG", "unknown-called"),
        ("CR1", "127.0.0.1", "ECHO_AGENT", "full"),
    ]
    assert [listener.count(f"rejected-{reason}") for *_who, reason in refused] == [1, 1, 1]


def test_flood_of_refusals_is_bounded_on_record(database: Database, start: Start) -> None:
    """A thousand equal refusals are one row with a count, so that unknown peers cannot fill the database."""
    listener = start(allow=(AllowedPeer(ae_title="CR1"),))
    associate(listener, "STRANGER")
    refused = next(one for one in listener.noted if one.action is Action.REFUSED)
    recorder = Recorder(database, "listener")
    for _ in range(1000):
        recorder.note(refused)
    recorder.flush()
    with database.reading() as session:
        rows = session.scalars(select(AuditEvent)).all()
    assert [(row.actor, row.details["count"]) for row in rows] == [("STRANGER", 1000)]


def test_the_documents_have_every_row(repository: Path) -> None:
    """Statuses and their causes are in the conformance statement."""
    text = (repository / "docs" / "dicom-conformance.md").read_text(encoding="utf-8")
    for status, causes in {
        "0x0000": ("durable and committed", "here already"),
        "0xA700": ("storage.min_free_mb", "database down", "listener.maximum_in_flight_mb", "stopping"),
        "0xA900": ("differs from the command; quarantined",),
        "0xC000": ("cut off", "no valid SOP Class, SOP Instance or Study Instance UID; quarantined"),
        "0x0110": ("an unexpected error",),
        "0x0122": ("not the one of the presentation context",),
        "0x0124": ("not admitted",),
    }.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {status} |"))
        assert [cause for cause in causes if cause not in row] == []

"""Sending over real associations: the bytes, the statuses, and faulty peers."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from pynetdicom import evt

from agent.commands.demo.orthanc import Orthanc
from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.foundation.settings.tree import DestinationSettings
from agent.network.store_scu import ConnectionLost, echo, open_connection

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
MakePacs = Callable[..., Any]


def dataset_of(content: bytes) -> bytes:
    """The dataset of a Part 10 file, as bytes."""
    meta = dcmread(io.BytesIO(content), stop_before_pixels=True).file_meta
    return content[144 + int(meta.FileMetaInformationGroupLength) :]


def send(destination: DestinationSettings, *documents: Any) -> list[str]:
    """Send documents over one association."""
    with open_connection(destination, [one.sop_class_uid for one in documents]) as connection:
        return [connection.store(one) for one in documents]


def test_scu_sends_the_stored_bytes_over_one_association(pacs: MakePacs, letters: Letters) -> None:
    """The received dataset equals the stored one, byte for byte."""
    peer = pacs()
    documents = [*letters(1), *letters(2)]
    send(peer.start(), *documents)
    assert peer.received == [dataset_of(one.content) for one in documents]
    assert peer.associations == 1


def test_scu_does_not_wait_to_fill_packets(
    pacs: MakePacs, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP_NODELAY is set, so that small documents are not delayed."""
    options: list[tuple[int, int, int]] = []
    original = socket.socket.setsockopt

    def noted(self: socket.socket, *values: Any) -> None:
        options.append(values)  # type: ignore[arg-type]
        original(self, *values)

    monkeypatch.setattr(socket.socket, "setsockopt", noted)
    send(pacs().start(), *letters(1))
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in options


def test_scu_converts_for_a_pacs_that_knows_only_implicit(pacs: MakePacs, letters: Letters) -> None:
    """A PACS needs only the default transfer syntax; the content stays the same."""
    peer, (findings, _report) = pacs(syntaxes=(ImplicitVRLittleEndian,)), letters(1)
    send(peer.start(), findings)
    arrived = dcmread(io.BytesIO(peer.received[0]), force=True)
    assert str(arrived.PatientName) == "Müller^Jörg"
    assert arrived == dcmread(io.BytesIO(findings.content))


@pytest.mark.parametrize(
    ("status", "raised"), [(0xA700, DeliveryFailed), (0xC001, DeliveryFailed), (0x0122, DeliveryRefused)]
)
def test_scu_statuses_end_one_document_and_not_the_association(
    pacs: MakePacs, letters: Letters, status: int, raised: type[Exception]
) -> None:
    """A failure of one document leaves the association open for the next one, and the status is named."""
    peer, (findings, report) = pacs(answers=[status]), letters(1)
    with open_connection(peer.start(), [findings.sop_class_uid, report.sop_class_uid]) as connection:
        with pytest.raises(raised, match=f"0x{status:04X}"):
            connection.store(findings)
        assert connection.store(report) is None


def test_scu_warning_is_stored(pacs: MakePacs, letters: Letters) -> None:
    """A document with coerced elements counts as stored."""
    peer = pacs(answers=[0xB000])
    assert send(peer.start(), letters(1)[0]) == ["0xB000, elements coerced"]


def test_scu_without_a_context_for_one_class_refuses_only_that(pacs: MakePacs, letters: Letters) -> None:
    """A PACS without Comprehensive 3D SR still accepts the report."""
    findings, report = letters(1)
    peer = pacs(classes=(report.sop_class_uid,))
    with open_connection(peer.start(), [findings.sop_class_uid, report.sop_class_uid]) as connection:
        with pytest.raises(DeliveryRefused, match="findings_sop_class"):
            connection.store(findings)
        assert connection.store(report) is None


def test_scu_without_any_context_is_refused(pacs: MakePacs, letters: Letters) -> None:
    """A PACS that accepts no Structured Reports refuses permanently."""
    with pytest.raises(DeliveryRefused):
        send(pacs(classes=(CTImageStorage,)).start(), *letters(1))


def test_scu_wrong_ae_title_says_so(pacs: MakePacs, letters: Letters) -> None:
    """The error of a rejected association names the wrong setting."""
    destination = pacs().start().model_copy(update={"ae_title": "OTHER"})
    with pytest.raises(ConnectionLost, match="`ae_title`"):
        send(destination, *letters(1))


def test_scu_nobody_listening_is_lost(letters: Letters, free_port: int) -> None:
    """A failed connection is reported and does not crash."""
    with pytest.raises(ConnectionLost, match="cannot be reached"):
        send(DestinationSettings(name="x", host="127.0.0.1", port=free_port, ae_title="X"), *letters(1))


def test_scu_unknown_host_is_lost(letters: Letters) -> None:
    """A host name that does not resolve is a lost connection too."""
    with pytest.raises(ConnectionLost):
        send(DestinationSettings(name="x", host="pacs.invalid", port=104, ae_title="X"), *letters(1))


def test_scu_silent_peer_costs_the_timeout_only(letters: Letters, silent_port: int) -> None:
    """A peer that accepts the connection and does not answer is given up after `timeout_s`."""
    destination = DestinationSettings(
        name="x", host="127.0.0.1", port=silent_port, ae_title="X", timeout_s=0.5
    )
    begun = time.monotonic()
    with pytest.raises(ConnectionLost):
        send(destination, *letters(1))
    assert time.monotonic() - begun < 20


def test_scu_abort_in_the_middle_is_lost(pacs: MakePacs, letters: Letters) -> None:
    """A PACS that drops the association instead of answering is a lost connection."""

    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    peer, (findings, report) = pacs(answers=[abort]), letters(1)
    destination = peer.start().model_copy(update={"timeout_s": 2})
    with open_connection(destination, [findings.sop_class_uid, report.sop_class_uid]) as connection:
        with pytest.raises(ConnectionLost):
            connection.store(findings)
        with pytest.raises(ConnectionLost):
            connection.store(report)


@pytest.mark.parametrize(
    "instead",
    [
        b"\x05\0\0\0\0\4\0\0\0\0",  # A-RELEASE-RQ
        b"\x07\0\0\0\0\4\0\0\0\0",  # A-ABORT; the connection stays open
        b"\x99\0\0\0\0\4\0\0\0\0",  # no PDU
        b"\x04\0\0\0\0\3abc",  # P-DATA-TF with a truncated value
    ],
)
def test_scu_does_not_wait_for_an_answer_that_cannot_come(
    pacs: MakePacs, letters: Letters, instead: bytes
) -> None:
    """A PACS that ends the association instead of answering costs far less than `timeout_s`."""
    over = threading.Event()

    def end(event: evt.Event) -> int:
        event.assoc.dul.socket.socket.sendall(instead)
        over.wait(60)
        return 0x0000

    destination = pacs(answers=[end]).start().model_copy(update={"timeout_s": 50})
    (document,) = letters(1)[:1]
    begun = time.monotonic()
    with open_connection(destination, [document.sop_class_uid]) as connection:
        with pytest.raises(ConnectionLost):
            connection.store(document)
        waited_s = time.monotonic() - begun
        over.set()
    assert waited_s < 40


def test_scu_answer_too_late_is_lost(pacs: MakePacs, letters: Letters) -> None:
    """A PACS that does not answer within `timeout_s` is a lost connection."""

    released = threading.Event()

    def hang(_event: evt.Event) -> int:
        released.wait(30)
        return 0x0000

    destination = pacs(answers=[hang]).start().model_copy(update={"timeout_s": 0.5})
    with pytest.raises(ConnectionLost):
        send(destination, letters(1)[0])
    released.set()


def test_echo_answers_and_does_not(pacs: MakePacs, free_port: int) -> None:
    """C-ECHO tests whether the destination is available."""
    peer = pacs()
    destination = peer.start()
    echo(destination)
    with pytest.raises(ConnectionLost):
        echo(destination.model_copy(update={"port": free_port}))


def test_scu_orthanc_keeps_the_same_bytes(orthanc: Orthanc, letters: Letters) -> None:
    """A real archive stores both documents in their study and returns the same bytes."""
    destination = DestinationSettings(
        name="orthanc", host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title
    )
    documents = letters(77)
    send(destination, *documents)
    send(destination, *documents)
    held = orthanc.documents("1.2.840.99.77")
    assert {dataset_of(one) for one in held} == {dataset_of(one.content) for one in documents}
    assert len(held) == 2

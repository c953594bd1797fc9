"""Unusual association requests as they occur in practice, to a running listener: raw sockets and dcmtk."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from agent.database.audit.record import Action
from agent.receive.association_request import NEVER_SUPPORTED
from tests.integration.receive.peer import Listener, data_pdus, echo_works, read_pdu, store_command
from tests.unit.agent.receive.test_association_request import context, item, request

ACCEPT, REJECT, ABORT = 2, 3, 7


@pytest.fixture
def listener(start: Callable[..., Listener]) -> Listener:
    """A listener that requires its own AE title."""
    return start(require_called_ae_title=True)


def answer(listener: Listener, sent: bytes) -> bytes:
    """Send a first PDU; return the answer."""
    connection = listener.connect()
    connection.sendall(sent)
    head = connection.recv(6, 0x100)  # MSG_WAITALL
    return head + connection.recv(struct.unpack(">BxI", head)[1], 0x100)


@pytest.mark.parametrize(
    "odd",
    [
        request(calling=b"CR1\0\0\0", called=b"ECHO_AGENT\0"),
        request(calling=b"  cr 1", version=0x0003),
        request(user=item(0x99, b"whatever")),
        request(extra=item(0x11, b"unknown")),
        request(user=item(0x58, b"\x02\x01\0\x04name\0\0")),
        request(user=item(0x55, b"A_NAME_OF_MORE_THAN_16_CHARACTERS\0")),
        request(contexts=context(1) + context(3, syntaxes=()) + context(5, b"chest") + context(7)),
        request(contexts=context(1) + context(7, syntaxes=(NEVER_SUPPORTED.encode(),))),
    ],
)
def test_odd_request_is_accepted(listener: Listener, odd: bytes) -> None:
    """An unusual but unambiguous request is negotiated, and the readable context is accepted."""
    got = answer(listener, odd)
    assert got[0] == ACCEPT
    # Result 0 of context 1 (PS3.8 9.3.3.2).
    assert item(0x21, bytes([1, 0, 0, 0]) + item(0x40, b"1.2.840.10008.1.2.1")) in got


@pytest.mark.parametrize(
    ("bad", "kind", "diagnosis", "reason_code", "title"),
    [
        (request(version=2), REJECT, (1, 2, 2), "protocol-version", "CR1"),
        (request(name=b"1.2.3"), REJECT, (1, 1, 2), "application-context", "CR1"),
        (request(calling=b"\0" * 16), REJECT, (1, 1, 3), "unknown-caller", ""),
        (request(contexts=b""), REJECT, (1, 2, 1), "no-context-proposed", "CR1"),
        (request(called=b"ELSEWHERE"), REJECT, (1, 1, 7), "unknown-called", "CR1"),
        (request(extra=b"\x11\0\xff\xff"), ABORT, (0, 2, 6), "request-malformed", "CR1"),
        (request()[:100] + b"\xff" * (len(request()) - 100), ABORT, (0, 2, 6), "request-malformed", "CR1"),
        (b"GET / HTTP/1.1\r\n\r\n", ABORT, (0, 2, 6), "no-association-request", ""),
    ],
)
def test_refusal_is_answered_and_on_record(
    listener: Listener, bad: bytes, kind: int, diagnosis: tuple[int, int, int], reason_code: str, title: str
) -> None:
    """The sender gets result, source and reason; audit and counters say who, from where and why."""
    got = answer(listener, bad)
    assert (got[0], tuple(got[7:10])) == (kind, diagnosis)
    listener.until(lambda: listener.count(f"rejected-{reason_code}") == 1)
    (noted,) = [one for one in listener.noted if one.action is Action.REFUSED]
    assert (noted.actor, noted.address, noted.details["reason_code"]) == (title, "127.0.0.1", reason_code)
    assert echo_works(listener)


def test_request_that_ends_too_early_is_on_record_with_its_sender(listener: Listener) -> None:
    """If a firewall cuts a request off, the titles at its beginning still say whom to ask."""
    connection = listener.connect()
    connection.sendall(request(calling=b"CR1")[:80])
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(6)[0] == ABORT
    listener.until(lambda: listener.count("rejected-request-cut-off") == 1)
    (noted,) = [one for one in listener.noted if one.action is Action.REFUSED]
    assert (noted.actor, noted.details["called"]) == ("CR1", "ECHO_AGENT")


@pytest.mark.parametrize("sent", [request()[:3], request()[:6], request()[:90]])
def test_request_that_never_ends_is_on_record(start: Callable[..., Listener], sent: bytes) -> None:
    """An unfinished request is audited as a refusal, with the sender's title if it had arrived."""
    listener = start(acse_timeout_s=0.2)
    connection = listener.connect()
    connection.sendall(sent)
    assert connection.recv(6) in (b"", b"\x07\0\0\0\0\4")
    listener.until(lambda: listener.count("rejected-request-timeout") == 1)
    (noted,) = [one for one in listener.noted if one.action is Action.REFUSED]
    assert noted.actor == ("CR1" if len(sent) > 42 else "")


def test_request_that_is_reset_is_on_record(listener: Listener) -> None:
    """A firewall's reset in the middle of a request is a refusal, as an orderly close is."""
    connection = listener.connect()
    connection.sendall(request()[:90])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    listener.until(lambda: listener.count("rejected-request-cut-off") == 1)
    assert listener.count("no-request") == 0


@pytest.mark.parametrize(
    ("sent", "reason_code"),
    [
        (request(), "protocol-error"),  # a second request
        (b"\x99\0\0\0\0\4\0\0\0\0", "protocol-error"),
        (b"\x04\0\0\0\0\3abc", "protocol-error"),
        (data_pdus(1, True, b"\xff" * 60), "protocol-error"),
        (b"\x04\0\x7f\xff\xff\xff", "pdu-too-long"),
        (b"\x05\0\0\xff\xff\xff", "pdu-too-long"),
        (b"\x04\0\0\0\1\0abc", "pdu-timeout"),
    ],
)
def test_association_that_breaks_the_protocol_is_aborted_and_on_record(
    start: Callable[..., Listener], sent: bytes, reason_code: str
) -> None:
    """If we end an association, the sender gets an A-ABORT, and the audit the reason."""
    listener = start(pdu_timeout_s=0.3)
    connection = listener.connect()
    connection.sendall(request())
    assert read_pdu(connection)[0] == ACCEPT
    connection.sendall(sent)
    assert read_pdu(connection)[0] == ABORT
    connection.close()
    listener.until(lambda: listener.count(reason_code) == 1)
    (noted,) = [one for one in listener.noted if one.action is Action.FAULT]
    assert (noted.actor, noted.address, noted.details["reason_code"]) == ("CR1", "127.0.0.1", reason_code)
    assert echo_works(listener)


def test_silent_connection_is_no_refusal(listener: Listener) -> None:
    """A load balancer that connects and closes is counted, but not audited."""
    listener.connect().close()
    listener.until(lambda: listener.count("no-request") == 1)
    assert not [one for one in listener.noted if one.action is Action.REFUSED]


def test_association_without_an_accepted_context_is_on_record(listener: Listener) -> None:
    """The classes and syntaxes that a sender proposed in vain are audited."""
    for_processing = b"1.2.840.10008.5.1.4.1.1.1.1.1"
    got = answer(listener, request(contexts=context(1, for_processing) + context(3, b"1.2.840.10008.1.1")))
    assert got[0] == ACCEPT
    listener.close()
    (noted,) = [one for one in listener.noted if one.action is Action.FAULT]
    assert noted.details["reason_code"] == "no-accepted-context"
    assert noted.details["sop_classes"] == [for_processing.decode()]
    assert noted.details["syntaxes"] == ["1.2.840.10008.1.2.1"]


def test_context_that_cannot_be_read_is_named_by_no_class(listener: Listener) -> None:
    """The internal placeholder is not audited as a class that the sender proposed."""
    got = answer(listener, request(contexts=context(1, b"chest")))
    assert got[0] == ACCEPT
    listener.close()
    (noted,) = [one for one in listener.noted if one.action is Action.FAULT]
    assert (noted.details["reason_code"], noted.details["sop_classes"]) == ("no-accepted-context", [])


def test_object_that_is_cut_off_is_on_record(listener: Listener) -> None:
    """A sender that disconnects in the middle of an object is audited."""
    connection = listener.connect()
    connection.sendall(request())
    connection.recv(6)
    command = store_command(b"1.2.840.10008.5.1.4.1.1.1", b"1.2.3")
    connection.sendall(data_pdus(1, True, command) + data_pdus(1, False, bytes(40_000))[:20_000])
    listener.until(lambda: listener.count("accepted") == 1)
    connection.close()
    listener.until(lambda: listener.count("object-cut-off") == 1)
    (noted,) = [one for one in listener.noted if one.action is Action.FAULT]
    assert (noted.actor, noted.details["reason_code"]) == ("CR1", "object-cut-off")

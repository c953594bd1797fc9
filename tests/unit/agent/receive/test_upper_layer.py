"""Rules of the bounded transport: how data PDUs are split, and how signals wake a sleeping thread."""

from __future__ import annotations

import select
import socket
import struct

import pytest

from agent.receive.messages import InFlight
from agent.receive.upper_layer import DataPdu, SignallingQueue, Wake
from agent.receive.wire import MAXIMUM_REQUEST, ProtocolViolation, longest, receive_request


def value(context_id: int, data: bytes) -> bytes:
    """One presentation data value."""
    return struct.pack(">LB", len(data) + 1, context_id) + data


def test_data_pdu_is_split_into_its_values() -> None:
    """Several values in one PDU keep their contexts and their order."""
    pdu = DataPdu(memoryview(value(1, b"\x03command") + value(3, b"\x02data")))
    values = pdu.to_primitive().presentation_data_value_list
    assert [(context, bytes(data)) for context, data in values] == [(1, b"\x03command"), (3, b"\x02data")]


@pytest.mark.parametrize(
    "body",
    [
        b"\x00",
        value(1, b""),
        value(1, b"\x02data")[:-1],
        value(1, b"\x02data") + b"\x00\x00",
        struct.pack(">LB", 0xFFFFFFFF, 1) + b"\x02",
        struct.pack(">LB", 0, 1) + b"\x02",
    ],
)
def test_data_pdu_with_impossible_lengths_is_refused(body: bytes) -> None:
    """The values must fill the PDU exactly, and each has a control header."""
    with pytest.raises(ValueError, match="presentation data value"):
        DataPdu(memoryview(body))


def test_longest_pdu_depends_on_its_type() -> None:
    """A release needs less than a request or data may."""
    assert [longest(kind) for kind in (1, 4, 5, 7)] == [MAXIMUM_REQUEST, 131072 + 64, 1024, 1024]


def test_wake_ends_a_poll_and_outlives_its_close() -> None:
    """A signal from another thread ends the poll; after the close it does nothing."""
    wake = Wake()
    poll = select.poll()
    poll.register(wake.descriptor, select.POLLIN)
    wake.clear()
    assert poll.poll(0) == []
    queue = SignallingQueue(wake.set)
    queue.put("something")
    assert len(poll.poll(0)) == 1
    wake.clear()
    assert poll.poll(0) == []
    wake.close()
    queue.put("late")
    assert [queue.get(), queue.get()] == ["something", "late"]


def test_in_flight_bytes_are_bounded() -> None:
    """Bytes beyond the limit are not taken, and bytes that were given back can be taken again."""
    in_flight = InFlight(100)
    assert in_flight.take(60)
    assert not in_flight.take(41)
    in_flight.give_back(60)
    assert in_flight.take(100)
    assert in_flight.total == 100


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x01\x00\x00",
        b"\x04\x00\x00\x00\x00\x04data",
        b"\x01\x00\xff\xff\xff\xff",
        b"\x01\x00\x00\x00\x00\x08half",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_first_pdu_must_be_a_whole_request(sent: bytes) -> None:
    """Anything else ends the connection at its first bytes."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(sent)
        there.shutdown(socket.SHUT_WR)
        with pytest.raises(ProtocolViolation if sent else ConnectionAbortedError):
            receive_request(here, 1)


def test_first_pdu_has_one_deadline() -> None:
    """A silent peer is cut off at the timeout; one that began and stopped is a violation."""
    here, there = socket.socketpair()
    with here, there:
        with pytest.raises(TimeoutError):
            receive_request(here, 0.1)
        there.sendall(b"\x01\x00\x00")
        with pytest.raises(ProtocolViolation) as caught:
            receive_request(here, 0.1)
    assert (str(caught.value), caught.value.received) == ("request-timeout", b"\x01\x00\x00")

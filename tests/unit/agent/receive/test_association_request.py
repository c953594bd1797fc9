"""Association requests as they occur in the field."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_RQ

from agent.receive.association_request import (
    NEVER_SUPPORTED,
    RequestMalformed,
    RequestRejected,
    clean_request,
    clean_title,
)

CR = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXT_NAME = b"1.2.840.10008.3.1.1.1"


def item(kind: int, body: bytes) -> bytes:
    """An item of variable length."""
    return struct.pack(">BxH", kind, len(body)) + body


def context(
    number: int,
    abstract: bytes = CR.encode(),
    syntaxes: tuple[bytes, ...] = (b"1.2.840.10008.1.2.1",),
) -> bytes:
    """A presentation context item."""
    body = struct.pack(">B3x", number) + item(0x30, abstract)
    return item(0x20, body + b"".join(item(0x40, one) for one in syntaxes))


def request(
    *,
    calling: bytes = b"CR1",
    called: bytes = b"ECHO_AGENT",
    version: int = 1,
    name: bytes | None = CONTEXT_NAME,
    contexts: bytes | None = None,
    user: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ PDU; titles shorter than 16 bytes are padded with spaces."""
    body = struct.pack(">H2x16s16s32x", version, called.ljust(16), calling.ljust(16))
    body += item(0x10, name) if name is not None else b""
    body += context(1) if contexts is None else contexts
    own = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    body += extra + item(0x50, own + user)
    return struct.pack(">BxI", 1, len(body)) + body


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (b"CR1\0\0\0\0\0\0\0\0\0\0\0\0\0", "CR1"),
        (b"CR1\0garbage\xff\xff\xff\xff\xff", "CR1"),
        (b"\0\0CR1".ljust(16, b"\0"), "CR1"),
        (b"   CR1          ", "CR1"),
        (b"\tCR1\r\n          ", "CR1"),
        (b"cr1             ", "cr1"),
        (b"CR ROOM 1       ", "CR ROOM 1"),
        (b"CR\x01ROOM         ", "CR?ROOM"),
        (b"CR\\ROOM         ", "CR?ROOM"),
        (b"R\xf6ntgen         ", "R?ntgen"),
        (b" " * 16, ""),
        (b"\0" * 16, ""),
    ],
)
def test_title_loses_its_padding_and_nothing_else(raw: bytes, title: str) -> None:
    """NULs, spaces and control characters at the ends are padding; inside they do not make another title."""
    assert clean_title(raw) == title


@pytest.mark.parametrize(
    "odd",
    [
        request(calling=b"CR1\0\0\0", called=b"ECHO_AGENT\0"),
        request(version=0xFFFF),
        request(user=item(0x99, b"whatever")),
        request(user=item(0x59, b"\0\x04mode")),
        request(extra=item(0x11, b"unknown")),
        request(user=item(0x55, b"A_NAME_OF_MORE_THAN_16_CHARACTERS\xff\0")),
        request(user=item(0x55, b"")),
        request(user=item(0x54, b"\0\xff1.2")),
        request(user=item(0x58, b"\x09")),
        request(user=item(0x53, b"\0")),
        request(name=CONTEXT_NAME + b"\0"),
        request(name=CONTEXT_NAME + b" "),
        request(contexts=context(1) + context(1)),
        request(contexts=context(2) + context(1)),
        request(contexts=context(1, CR.encode() + b"\0", (EXPLICIT.encode() + b"\0 ",))),
    ],
)
def test_request_of_the_field_is_what_it_means(odd: bytes) -> None:
    """A request that is irregular but unambiguous is negotiated as if it were well-formed."""
    clean = clean_request(odd)
    assert (clean.calling_ae_title, clean.called_ae_title) == ("CR1", "ECHO_AGENT")
    assert [(one.context_id, one.abstract_syntax, one.transfer_syntaxes) for one in clean.offers] == [
        (1, CR, (EXPLICIT,))
    ]
    parsed = A_ASSOCIATE_RQ()
    parsed.decode(clean.pdu)
    assert parsed.to_primitive().calling_ae_title == "CR1"


@pytest.mark.parametrize(
    ("bad", "reason_code", "answer"),
    [
        (request(version=2), "protocol-version", (1, 2, 2)),
        (request(name=b"1.2.3"), "application-context", (1, 1, 2)),
        (request(name=None), "application-context", (1, 1, 2)),
        (request(calling=b""), "unknown-caller", (1, 1, 3)),
        (request(called=b"\0" * 16), "unknown-called", (1, 1, 7)),
        (request(contexts=b""), "no-context-proposed", (1, 2, 1)),
        (request(contexts=context(2)), "no-context-proposed", (1, 2, 1)),
    ],
)
def test_request_that_cannot_be_negotiated_says_why(
    bad: bytes, reason_code: str, answer: tuple[int, int, int]
) -> None:
    """Result, source and reason are those of PS3.8 table 9-21."""
    with pytest.raises(RequestRejected) as caught:
        clean_request(bad)
    assert (caught.value.reason_code, caught.value.answer) == (reason_code, answer)


@pytest.mark.parametrize(
    "unclear",
    [
        context(1) + context(1, b"1.2.840.10008.5.1.4.1.1.7"),
        context(1) + context(1, syntaxes=(b"1.2.840.10008.1.2",)),
        context(1, syntaxes=()),
        context(1, syntaxes=(b"no uid",)),
    ],
    ids=["two-classes", "two-syntaxes", "no-syntax", "no-uid"],
)
def test_context_that_nobody_can_read_is_offered_as_unsupported(unclear: bytes) -> None:
    """An unreadable context keeps its id, so that it is answered, and is never accepted."""
    (offer,) = clean_request(request(contexts=unclear)).offers
    assert (offer.context_id, offer.transfer_syntaxes) == (1, (NEVER_SUPPORTED,))


def test_context_without_a_class_is_offered_as_unsupported() -> None:
    """So is a context whose abstract syntax is not a UID."""
    (offer,) = clean_request(request(contexts=context(1, b"chest"))).offers
    assert offer.abstract_syntax == NEVER_SUPPORTED


@pytest.mark.parametrize("cut", [10, 73, 80, 100, 130])
def test_request_that_is_cut_off_is_malformed(cut: int) -> None:
    """A request with an item longer than the remaining bytes is malformed."""
    with pytest.raises((RequestMalformed, RequestRejected)):
        clean_request(request()[:cut])


@given(st.data())
def test_request_of_damaged_bytes_is_clean_or_refused(data: st.DataObject) -> None:
    """Whichever bytes are flipped, pynetdicom reads the result without an error."""
    damaged = bytearray(request(contexts=context(1) + context(3), user=item(0x55, b"NAME")))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(6, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        clean = clean_request(bytes(damaged))
    except (RequestMalformed, RequestRejected):
        return
    parsed = A_ASSOCIATE_RQ()
    parsed.decode(clean.pdu)
    parsed.to_primitive()

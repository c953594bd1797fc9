"""An association request as devices send it, rewritten as one that PS3.8 allows; or the reason to reject it.

pynetdicom aborts silently on a NUL in an AE title, on an unknown item and on a context without transfer
syntaxes. Here the raw PDU is read leniently and rewritten: unknown items are skipped, padding is removed,
and what cannot be negotiated is kept, so that it is answered with a result.
Pure: bytes in, bytes out. Sources: PS3.8 sections 9.3.1 (unknown items are ignored), 9.3.2 (request), 9.3.4
(rejection), annex D; PS3.7 annex D.3.3 (user information).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
# A retired syntax (Papyrus 3) that nobody supports: it replaces a syntax that cannot be understood, so that
# this is answered "not supported" under its own context id.
NEVER_SUPPORTED = "1.2.840.10008.1.20"
# For a peer that names no implementation class; it is only logged by libraries.
_NO_IMPLEMENTATION = "1.2.840.10008.3.1.1.1"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_HEAD = struct.Struct(">BxI")
_ITEM = struct.Struct(">BxH")
# The fields up to here (bytes) have fixed positions.
_FIXED = 74
_DEFAULT_PDU = 16384
# A response has about 150 bytes and may be split, but not into pieces smaller than this.
_SMALLEST_PDU = 64


class RequestRejected(Exception):
    """An association request that cannot be negotiated: it is answered with an A-ASSOCIATE-RJ."""

    def __init__(self, reason_code: str, answer: tuple[int, int, int], calling: str, called: str) -> None:
        """Keep the name of the reason, the answer (result, source, reason; PS3.8 table 9-21), the titles."""
        super().__init__(reason_code)
        self.reason_code = reason_code
        self.answer = answer
        self.calling = calling
        self.called = called


class RequestMalformed(Exception):
    """Bytes that are not an association request; they are answered with an A-ABORT."""

    reason_code = "request-malformed"

    def __init__(self, message: str, calling: str = "", called: str = "") -> None:
        """Keep the AE titles, as far as they can be read."""
        super().__init__(message)
        self.calling = calling
        self.called = called


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A presentation context as it was proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRequest:
    """A request that every reader understands: its bytes, and its content."""

    pdu: bytes
    calling_ae_title: str
    called_ae_title: str
    offers: tuple[Offer, ...]


def clean_request(pdu: bytes) -> CleanRequest:
    """Read an A-ASSOCIATE-RQ leniently and rewrite it.

    Raises:
        RequestRejected: to be answered with its A-ASSOCIATE-RJ.
        RequestMalformed: to be answered with an A-ABORT.
    """
    if len(pdu) < _FIXED:
        raise RequestMalformed("the association request is too short")
    calling, called = titles(pdu)
    try:
        return _clean(pdu, calling, called)
    except RequestMalformed as error:
        raise RequestMalformed(str(error), calling, called) from error


def titles(pdu: bytes) -> tuple[str, str]:
    """Return the calling and the called AE title of a request; empty if the bytes end before them."""
    return clean_title(pdu[26:42]), clean_title(pdu[10:26])


def _clean(pdu: bytes, calling: str, called: str) -> CleanRequest:
    (version,) = struct.unpack_from(">H", pdu, 6)

    def rejected(reason_code: str, *answer: int) -> RequestRejected:
        result, source, reason = answer
        return RequestRejected(reason_code, (result, source, reason), calling, called)

    if not version & 1:  # the only bit that a receiver tests (table 9-11)
        raise rejected("protocol-version", 1, 2, 2)
    items = list(_items(pdu[_FIXED:]))
    names = [_uid(body) for kind, body in items if kind == 0x10]
    if names[:1] != [APPLICATION_CONTEXT]:
        raise rejected("application-context", 1, 1, 2)
    if not calling:
        raise rejected("unknown-caller", 1, 1, 3)
    if not called:
        raise rejected("unknown-called", 1, 1, 7)
    offers = _offers([body for kind, body in items if kind == 0x20])
    if not offers:
        raise rejected("no-context-proposed", 1, 2, 1)
    user = [sub for kind, body in items if kind == 0x50 for sub in _items(body)]
    body = struct.pack(">H2x16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16))
    body += _item(0x10, APPLICATION_CONTEXT.encode())
    body += b"".join(_encoded(offer) for offer in offers) + _item(0x50, _user_information(user))
    return CleanRequest(
        pdu=_HEAD.pack(1, len(body)) + body, calling_ae_title=calling, called_ae_title=called, offers=offers
    )


def clean_title(raw: bytes) -> str:
    """Return an AE title (at most 16 characters) without padding; forbidden characters become "?".

    Padding is spaces and control characters at either end, and whatever follows a NUL. Upper and lower case
    are different titles. Source: PS3.5 table 6.2-1 (AE).
    """
    text = raw.lstrip(b"\0").split(b"\0")[0].decode("latin-1")
    text = text.strip("".join(map(chr, range(33))) + "\x7f")
    return "".join(one if " " <= one <= "~" and one != "\\" else "?" for one in text)[:16]


def rejection_pdu(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return struct.pack(">BxIxBBB", 3, 4, result, source, reason)


def abort_pdu() -> bytes:
    """Return an A-ABORT of the service provider, "invalid PDU parameter value" (PS3.8 9.3.8)."""
    return struct.pack(">BxI2xBB", 7, 4, 2, 6)


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if len(data) - at < _ITEM.size:
            if not any(data[at:]):
                return  # padding
            raise RequestMalformed("an item of the association request is cut off")
        kind, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if at + length > len(data):
            raise RequestMalformed("an item of the association request is cut off")
        yield kind, data[at : at + length]
        at += length


def _item(kind: int, body: bytes) -> bytes:
    return _ITEM.pack(kind, len(body)) + body


def _uid(raw: bytes) -> str:
    """Return a UID without padding; empty if it is not a UID."""
    text = raw.strip(b"\0 ").decode("latin-1")
    return text if len(text) <= 64 and _UID.fullmatch(text) else ""


def _offers(bodies: list[bytes]) -> tuple[Offer, ...]:
    """Return the contexts, one for each id.

    An even id, which is not allowed, cannot be answered and is left out. An id that is proposed twice with
    different contents is answered "not supported", because its objects would be ambiguous.
    """
    found: dict[int, Offer] = {}
    for body in bodies:
        if len(body) < 4 or not body[0] & 1:
            continue
        subs = list(_items(body[4:]))
        abstract = next((_uid(sub) for kind, sub in subs if kind == 0x30), "")
        syntaxes = tuple(dict.fromkeys(uid for kind, sub in subs if kind == 0x40 and (uid := _uid(sub))))
        offer = Offer(
            context_id=body[0],
            abstract_syntax=abstract or NEVER_SUPPORTED,
            transfer_syntaxes=syntaxes or (NEVER_SUPPORTED,),
        )
        if found.setdefault(body[0], offer) != offer:
            found[body[0]] = Offer(
                context_id=body[0],
                abstract_syntax=found[body[0]].abstract_syntax,
                transfer_syntaxes=(NEVER_SUPPORTED,),
            )
    return tuple(found.values())


def _encoded(offer: Offer) -> bytes:
    body = struct.pack(">B3x", offer.context_id) + _item(0x30, offer.abstract_syntax.encode())
    return _item(0x20, body + b"".join(_item(0x40, uid.encode()) for uid in offer.transfer_syntaxes))


def _user_information(subs: list[tuple[int, bytes]]) -> bytes:
    """Return the sub-items that are negotiated: lengths, names and roles; the others need no answer."""
    first: dict[int, bytes] = {}
    for kind, sub in subs:
        first.setdefault(kind, sub)
    raw = first.get(0x51, b"")
    (longest,) = struct.unpack(">I", raw) if len(raw) == 4 else (_DEFAULT_PDU,)
    if longest:  # 0 is "no limit"
        longest = max(longest, _SMALLEST_PDU)
    body = _item(0x51, struct.pack(">I", longest))
    body += _item(0x52, (_uid(first.get(0x52, b"")) or _NO_IMPLEMENTATION).encode())
    if name := clean_title(first.get(0x55, b"")):
        body += _item(0x55, name.encode())
    roles: dict[str, bytes] = {}
    for kind, sub in subs:
        if kind != 0x54 or len(sub) < 4:
            continue
        (length,) = struct.unpack_from(">H", sub)
        uid, role = _uid(sub[2 : 2 + length]), sub[2 + length : 4 + length]
        if uid and len(role) == 2 and set(role) <= {0, 1}:
            roles.setdefault(uid, struct.pack(">H", len(uid)) + uid.encode() + role)
    return body + b"".join(_item(0x54, role) for role in roles.values())

"""Content items as bytes, Explicit VR Little Endian, explicit lengths, elements in tag order.

Source: PS3.5 7.1.2 (explicit VR), 7.5 (nesting); PS3.3 C.17.3, 8.8 (code sequence macro).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

from pydicom.sr.coding import Code

from dicom_sr.content import Item, ValueType
from dicom_sr.errors import ContentError

_LONG_FORM = frozenset({b"SQ", b"UT", b"UC"})  # these carry a 32-bit length after two reserved bytes
_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)


def content_sequence_value(children: Iterable[Item]) -> bytes:
    """The value of Content Sequence (0040,A730): the encoded items, concatenated."""
    return b"".join(_item(_content_item(child)) for child in children)


def code_item(code: Code) -> bytes:
    """One item of a code sequence, without equivalents.

    Raises:
        ContentError: the meaning or the scheme is too long for its attribute.
    """
    return _code_item(code.value, code.scheme_designator, code.meaning, b"")


def _content_item(item: Item) -> bytes:
    parts = []
    if item.reference is not None:
        parts.append(_sequence(0x0008, 0x1199, _sop_reference(*item.reference)))
    if item.relationship is not None:
        parts.append(_element(0x0040, 0xA010, b"CS", item.relationship.value))
    parts.append(_element(0x0040, 0xA040, b"CS", item.value_type.value))
    parts.append(_sequence(0x0040, 0xA043, code_item(item.name)))
    parts.append(_value(item))
    if item.template is not None:
        parts.append(_sequence(0x0040, 0xA504, _template(item.template)))
    if item.children:
        parts.append(_sequence(0x0040, 0xA730, content_sequence_value(item.children)))
    if item.points:
        parts.append(_framed(0x0070, 0x0022, b"FL", struct.pack(f"<{len(item.points)}f", *item.points)))
        parts.append(_element(0x0070, 0x0023, b"CS", "MULTIPOINT"))
    return b"".join(parts)


def _value(item: Item) -> bytes:
    """The element that holds the item's value; all of them lie between (0040,A043) and (0040,A504)."""
    if item.value_type is ValueType.CONTAINER:
        return _element(0x0040, 0xA050, b"CS", "SEPARATE")
    if item.value_type is ValueType.TEXT:
        return _element(0x0040, 0xA160, b"UT", item.text)
    if item.value_type is ValueType.UIDREF:
        return _element(0x0040, 0xA124, b"UI", item.text)
    if item.value_type is ValueType.PNAME:
        return _element(0x0040, 0xA123, b"PN", item.text)
    if item.value_type is ValueType.CODE and item.code is not None:
        return _sequence(0x0040, 0xA168, _code_with_equivalent(item.code, item.equivalent))
    if item.value_type is ValueType.NUM and item.code is not None:
        units = _sequence(0x0040, 0x08EA, code_item(item.code))
        return _sequence(0x0040, 0xA300, _item(units + _element(0x0040, 0xA30A, b"DS", item.text)))
    return b""  # IMAGE and SCOORD have their values in other attributes


def _code_with_equivalent(code: Code, equivalent: Code | None) -> bytes:
    other = b"" if equivalent is None else code_item(equivalent)
    return _code_item(code.value, code.scheme_designator, code.meaning, other)


# Keyed on the strings: two pydicom codes compare equal whatever their meanings say.
@lru_cache(maxsize=1024)
def _code_item(value: str, scheme: str, meaning: str, equivalent: bytes) -> bytes:
    if len(meaning.encode()) > 64 or not meaning:
        raise ContentError(f"the meaning of code {scheme} {value} must have 1 to 64 bytes: shorten it")
    if len(scheme) > 16 or not scheme or not value:
        raise ContentError(f"code {scheme} {value!r} needs a value and a scheme of at most 16 characters")
    parts = []
    if len(value) <= 16:
        parts.append(_element(0x0008, 0x0100, b"SH", value))
    parts.append(_element(0x0008, 0x0102, b"SH", scheme))
    parts.append(_element(0x0008, 0x0104, b"LO", meaning))
    if len(value) > 16:
        parts.append(_element(0x0008, 0x0119, b"UC", value))
    if equivalent:
        parts.append(_sequence(0x0008, 0x0121, equivalent))
    return _item(b"".join(parts))


@lru_cache(maxsize=64)
def _sop_reference(sop_class_uid: str, sop_instance_uid: str) -> bytes:
    return _item(
        _element(0x0008, 0x1150, b"UI", sop_class_uid) + _element(0x0008, 0x1155, b"UI", sop_instance_uid)
    )


@lru_cache(maxsize=16)
def _template(identifier: str) -> bytes:
    return _item(_element(0x0008, 0x0105, b"CS", "DCMR") + _element(0x0040, 0xDB00, b"CS", identifier))


def _element(group: int, element: int, vr: bytes, value: str) -> bytes:
    raw = value.encode("utf-8")
    if len(raw) % 2:
        raw += b"\0" if vr == b"UI" else b" "
    return _framed(group, element, vr, raw)


def _sequence(group: int, element: int, items: bytes) -> bytes:
    return _framed(group, element, b"SQ", items)


def _framed(group: int, element: int, vr: bytes, raw: bytes) -> bytes:
    if vr in _LONG_FORM:
        return struct.pack("<HH2sHL", group, element, vr, 0, len(raw)) + raw
    return struct.pack("<HH2sH", group, element, vr, len(raw)) + raw


def _item(raw: bytes) -> bytes:
    return _ITEM + struct.pack("<L", len(raw)) + raw

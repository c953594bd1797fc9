"""Encodes DICOM JSON as a data set without pydicom, because a page of answers has thousands of elements.

Texts and sequences are written here; every other value goes through pydicom.

Source: PS3.5 section 7 (data set), 6.2 (value representations), PS3.18 annex F (DICOM JSON).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pydicom import Dataset
from pynetdicom.dsutils import encode

from agent.foundation.errors import WorkitemInvalid
from dicom_sr.attributes import FOREIGN_ERRORS

Json = Mapping[str, Any]
_TEXTS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
# In an explicit VR their length has four bytes.
_LONG = frozenset({"SQ", "UC", "UR", "UT"})
_LARGEST_SHORT = 0xFFFE
_ITEM = b"\xfe\xff\x00\xe0"


def as_encoded(content: Json, *, implicit: bool) -> bytes:
    """Return DICOM JSON as a data set in UTF-8 and little endian.

    Raises:
        WorkitemInvalid: it is not a data set in DICOM JSON.
    """
    try:
        return _elements(content, implicit)
    except FOREIGN_ERRORS as error:
        raise WorkitemInvalid("this is not a dataset in DICOM JSON (PS3.18 annex F)") from error


def _value(vr: str, element: Json, implicit: bool) -> bytes:
    if vr == "SQ":
        return b"".join(_item(one, implicit) for one in element.get("Value") or ())
    values = element.get("Value") or ()
    text = "\\".join("" if one is None else _name_of(one) if vr == "PN" else one for one in values)
    encoded = text.encode()
    return encoded + (b"\0" if vr == "UI" else b" ") if len(encoded) % 2 else encoded


def _name_of(name: Json) -> str:
    groups = (name.get(group) or "" for group in ("Alphabetic", "Ideographic", "Phonetic"))
    return "=".join(groups).rstrip("=")


def _item(content: Json, implicit: bool) -> bytes:
    inside = _elements(content, implicit)
    return _ITEM + struct.pack("<I", len(inside)) + inside


def _elements(content: Json, implicit: bool) -> bytes:
    return b"".join(_element(name, content[name], implicit) for name in sorted(content))


def _element(name: str, element: Json, implicit: bool) -> bytes:
    if len(name) != 8:
        raise ValueError(name)
    vr = str(element["vr"])
    if vr != "SQ" and vr not in _TEXTS:
        return _by_pydicom(name, element, implicit)
    value = _value(vr, element, implicit)
    tag = struct.pack("<HH", int(name[:4], 16), int(name[4:], 16))
    if implicit:
        return tag + struct.pack("<I", len(value)) + value
    if vr in _LONG:
        return tag + vr.encode() + b"\0\0" + struct.pack("<I", len(value)) + value
    if len(value) > _LARGEST_SHORT:
        # Too long for its VR: pydicom writes it as UN.
        return _by_pydicom(name, element, implicit)
    return tag + vr.encode() + struct.pack("<H", len(value)) + value


def _by_pydicom(name: str, element: Json, implicit: bool) -> bytes:
    encoded = encode(Dataset.from_json({name: element}), implicit, True)
    if encoded is None:
        raise ValueError(name)
    return encoded

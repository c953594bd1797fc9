"""Writes HL7 v2.5.1 strictly: values escaped, no trailing delimiters, a carriage return after each segment.
Pure.

A field is text, a tuple of components (each text or a tuple of subcomponents), or a list of repetitions.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.messages.hl7.encoding import codec_of, escaped

Value = str | tuple["Value", ...] | list["Value"]
VERSION = "2.5.1"
# SFT-1 of every result: one that its receiver passes on is known by it.
SOFTWARE = "ECHO Agent"
# Application and control ID together identify a message; MSH-10 has at most 20 characters.
_CONTROL_ID_LENGTH = 20


def control_id(uid: str) -> str:
    """Return MSH-10 of a message; it depends only on the UID, so a retry and a rebuilt message have the
    same.
    """
    digest = hashlib.sha256(uid.encode("ascii")).digest()
    return base64.b32encode(digest).decode("ascii")[:_CONTROL_ID_LENGTH]


def segment(name: str, fields: Mapping[int, Value]) -> str:
    """Return one segment, without its end."""
    last = max((number for number, value in fields.items() if _rendered(value)), default=0)
    return "|".join((name, *(_rendered(fields.get(number, "")) for number in range(1, last + 1))))


def header(
    settings: Hl7DestinationSettings,
    kind: tuple[str, str, str],
    *,
    uid: str,
    at: datetime,
    test: bool = False,
    profile: Value = "",
) -> dict[int, Value]:
    """Return MSH from field 3 on; `encoded` adds the character set."""
    enhanced = settings.acknowledgement != "original"
    return {
        3: settings.sending_application,
        4: settings.sending_facility,
        5: settings.receiving_application,
        6: settings.receiving_facility,
        7: moment(at),
        9: kind,
        10: control_id(uid),
        11: "T" if test and settings.processing_id == "P" else settings.processing_id,
        12: VERSION,
        15: "AL" if enhanced else "",
        16: "" if not enhanced else "NE" if settings.acknowledgement == "commit" else "AL",
        21: profile,
    }


def encoded(head: Mapping[int, Value], segments: Sequence[str], character_set: str) -> bytes:
    """Return a message encoded in a character set, or in UTF-8 if that cannot express it."""
    for stated in (character_set, "UNICODE UTF-8"):
        fields = {number - 1: value for number, value in {**head, 18: stated}.items()}
        line = segment("MSH", {**fields, 1: ""}).split("|", 2)[2]
        text = "\r".join((f"MSH|^~\\&|{line}", *segments)) + "\r"
        try:
            return text.encode(codec_of(stated) or "utf-8")
        except UnicodeEncodeError:
            continue
    raise AssertionError("UTF-8 expresses every text")


def moment(at: datetime) -> str:
    """Return a time (TS) to the second, with its offset from UTC."""
    return at.strftime("%Y%m%d%H%M%S%z")


def name_value(person_name: str) -> Value:
    """Return a DICOM person name as XPN, its groups as repetitions: alphabetic, ideographic, phonetic."""
    groups = []
    for group, representation in zip(person_name.split("="), ("A", "I", "P"), strict=False):
        family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
        if family or given:
            # XPN: family, given, further given, suffix, prefix, degree, type, representation.
            value: tuple[Value, ...] = (family, given, middle, suffix, prefix, "", "L")
            groups.append(value if representation == "A" else (*value, representation))
    return list(groups)


def person_value(person_name: str) -> Value:
    """Return a DICOM person name as XCN without an identifier."""
    family, given, middle, prefix, suffix = (person_name.split("=")[0].split("^") + [""] * 5)[:5]
    return ("", family, given, middle, suffix, prefix) if family or given else ""


def _rendered(value: Value) -> str:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return "~".join(_rendered(one) for one in value)
    return "^".join(_component(one) for one in value).rstrip("^")


def _component(value: Value) -> str:
    if isinstance(value, tuple):
        return "&".join(escaped(str(one)) for one in value).rstrip("&")
    return _rendered(value)

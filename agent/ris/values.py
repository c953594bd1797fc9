"""Converts HL7 dates, times and names to DICOM values. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from agent.foundation.clock import storable_time
from agent.messages.hl7.message import Segment

_TIME = re.compile(
    r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,4})?)?)?)?(?:([+-])(\d{2})(\d{2}))?"
)


def date_of(value: str) -> str:
    """Return a date as a DICOM DA value; empty if it is not a date."""
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})", value.strip())
    if found is None:
        return ""
    try:
        datetime(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return ""
    return "".join(found.groups())


def time_of(value: str) -> datetime | None:
    """Parse a time (TS) with its zone, in UTC if it states none; None if it is not a time."""
    found = _TIME.match(value.strip())
    if found is None:
        return None
    numbers = [int(one or 0) for one in found.groups()[:6]]
    zone = UTC
    if found[7]:
        offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
        if offset >= timedelta(hours=24):
            return None
        zone = timezone(-offset if found[7] == "-" else offset)
    try:
        return storable_time(datetime(*numbers[:6], tzinfo=zone))  # type: ignore[misc, arg-type]
    except ValueError:
        return None


def sex_of(value: str) -> str:
    """Return an administrative sex (table 0001) as a DICOM CS value: M, F, O, or empty."""
    return {"M": "M", "F": "F", "O": "O", "A": "O"}.get(value.strip().upper()[:1], "")


def person_name(pid: Segment, field: int = 5) -> str:
    """Return XPN as a DICOM person name: alphabetic, ideographic and phonetic groups from its repetitions.

    A legal name, or one without a type, takes precedence over a maiden name, an alias and the like (table
    0200).
    """
    names = [one for one in pid.repetitions(field) if pid.part(one, 7).upper() not in ("S", "U")]
    groups = {"A": "", "I": "", "P": ""}
    for one in sorted(names, key=lambda name: pid.part(name, 7).upper() not in ("L", "", "D")):
        kind = pid.part(one, 8).upper() or "A"
        if kind in groups and not groups[kind]:
            groups[kind] = _group(pid, one)
    return "=".join(groups.values()).rstrip("=")


def _group(pid: Segment, repetition: str) -> str:
    """XPN: family, given, further, suffix, prefix. PN: family, given, middle, prefix, suffix."""
    # A family name may have subcomponents (FN): the first is the whole name.
    family = pid.part(repetition, 1, 1) if pid.marks.subcomponent else pid.part(repetition, 1)
    given, middle, suffix, prefix = (pid.part(repetition, n) for n in (2, 3, 4, 5))
    if not given and family.count(",") == 1:
        # Systems with a single field for names write them like this.
        family, given = family.split(",")
    ordered = (family, given, middle, prefix, suffix)
    parts = (re.sub(r"[\^=\\\x00-\x20\x7f]+", " ", one).strip() for one in ordered)
    return "^".join(parts).rstrip("^")

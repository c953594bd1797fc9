"""Matches workitems against queries: the standard's attribute matching, also for filtered subscriptions.

Workitems are matched as stored, in DICOM JSON: building a data set from each would take milliseconds.

Source: PS3.4 C.2.2.2 (attribute matching), CC.2.8 (UPS Query), PS3.18 annex F (DICOM JSON).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement

Json = Mapping[str, Any]
NUMBERS = frozenset({"IS", "DS", "SS", "US", "SL", "UL", "SV", "UV", "FL", "FD"})
# Wildcards have no meaning in these (PS3.4 C.2.2.2.4).
NO_WILD_CARDS = NUMBERS | {"DA", "DT", "TM", "UI", "AT"}
_RANGES = frozenset({"DA", "DT", "TM"})
_DT = r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?"
_TM_DA = r"[\d:.]*"
_RANGE = re.compile(rf"(?P<first>{_DT}|{_TM_DA})-(?P<last>{_DT}|{_TM_DA})")
_WITH_OFFSET = re.compile(r"\d{8,14}(?:\.\d{1,6})?-\d{4}")
_MOMENT = re.compile(r"(\d{4,14})(\.\d{1,6})?([+-]\d{4})?")
_CHARACTER_SET = "00080005"
# Not attributes of a workitem: they say how to read the query.
_CONTROL = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC", "TransactionUID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingKey:
    """One matching or return key: the attribute's name in DICOM JSON, and the wanted values.

    wanted: any of these values; empty matches everything. inner: the keys of a sequence's item.
    """

    name: str
    vr: str
    wanted: tuple[str, ...] = ()
    inner: tuple[MatchingKey, ...] = ()

    @property
    def selects(self) -> bool:
        """Whether it excludes any workitem."""
        return bool(self.wanted) or any(one.selects for one in self.inner)


def keys_of(identifier: Dataset) -> tuple[MatchingKey, ...]:
    """Read the keys of a query or of a filter."""
    return tuple(_key(element) for element in identifier if element.keyword not in _CONTROL)


def _key(element: DataElement) -> MatchingKey:
    name = f"{int(element.tag):08X}"
    if element.VR == "SQ":
        items = list(element.value or ())
        return MatchingKey(name=name, vr="SQ", inner=keys_of(items[0]) if items else ())
    wanted = _texts(element)
    if str(element.VR) not in NO_WILD_CARDS and any(not one.strip("*") for one in wanted):
        wanted = ()  # a single `*` is universal matching (PS3.4 C.2.2.2.4)
    return MatchingKey(name=name, vr=str(element.VR), wanted=wanted)


def _texts(element: DataElement) -> tuple[str, ...]:
    value = element.value
    values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return tuple(str(one).strip(" \0") for one in values if one is not None and str(one).strip(" \0"))


def selective(keys: Iterable[MatchingKey]) -> tuple[MatchingKey, ...]:
    """Return the keys that exclude anything; the others can be ignored."""
    return tuple(one for one in keys if one.selects)


def matches(content: Json, keys: Iterable[MatchingKey]) -> bool:
    """Return whether a workitem's attributes match all keys."""
    return all(_element_matches(content, key) for key in keys)


def selected(content: Json, keys: Iterable[MatchingKey]) -> dict[str, Any]:
    """Return the attributes named by the keys; one that the workitem lacks is returned empty."""
    found = {key.name: content.get(key.name, {"vr": key.vr}) for key in keys}
    if _CHARACTER_SET in content:
        found[_CHARACTER_SET] = content[_CHARACTER_SET]
    return found


def comparable_name(name: str) -> str:
    """Return a person's name in its comparable form: without case and without trailing empty components."""
    return name.casefold().rstrip("^")


def _element_matches(content: Json, key: MatchingKey) -> bool:
    """Whether any value matches; for a sequence, whether any item matches all its keys (C.2.2.2.6)."""
    present = content.get(key.name, {}).get("Value") or ()
    if key.vr == "SQ":
        return not key.selects or any(matches(one, key.inner) for one in present)
    if not key.wanted:
        return True
    values = [text_of(one) for one in present]
    return any(_value_matches(key.vr, one, value) for one in key.wanted for value in values)


def text_of(value: Any) -> str:
    """Return a value in DICOM JSON as text, a person's name with its groups."""
    if not isinstance(value, Mapping):
        return "" if value is None else str(value).strip(" \0")
    groups = (str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic"))
    return "=".join(groups).rstrip("=")


def _value_matches(vr: str, wanted: str, value: str) -> bool:
    if vr in _RANGES and (ends := ends_of(vr, wanted)) is not None:
        return _in_range(vr, ends, value)
    if vr == "DT":
        return _in_range(vr, (wanted, wanted), value)
    if vr == "PN":
        return bool(_pattern(comparable_name(wanted)).fullmatch(comparable_name(value)))
    if vr in NUMBERS:
        return number_of(wanted) == number_of(value)
    if vr in NO_WILD_CARDS:
        return wanted == value
    return bool(_pattern(wanted).fullmatch(value))


def number_of(text: str) -> float | str:
    """Return a number in its comparable form; any other text unchanged."""
    try:
        return float(text)
    except ValueError:
        return text


@lru_cache(maxsize=256)
def _pattern(wanted: str) -> re.Pattern[str]:
    """`*` is any run of characters, `?` is one (PS3.4 C.2.2.2.4)."""
    parts = (
        ".*" if char == "*" else "." if char == "?" else re.escape(char)
        for char in re.sub(r"\*+", "*", wanted)
    )
    return re.compile("".join(parts), re.DOTALL)


def ends_of(vr: str, wanted: str) -> tuple[str, str] | None:
    """Return the two ends of a range, with an open end empty; None for a single value."""
    if vr == "DT" and _WITH_OFFSET.fullmatch(wanted):
        return None
    match = _RANGE.fullmatch(wanted)
    return None if match is None else (match.group("first") or "", match.group("last") or "")


def _in_range(vr: str, ends: tuple[str, str], value: str) -> bool:
    first, last = ends
    if vr != "DT":
        return (not first or first <= value[: len(first)]) and (not last or value[: len(last)] <= last)
    moment = moment_of(value, last=False)
    if moment is None:
        return False
    earliest, latest = moment_of(first, last=False), moment_of(last, last=True)
    return (not first or (earliest is not None and earliest <= moment)) and (
        not last or (latest is not None and moment <= latest)
    )


def moment_of(text: str, *, last: bool) -> datetime | None:
    """Return a DT value as a moment; a partial one as its first or last moment; None if unreadable."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    digits, fraction, offset = match.group(1), match.group(2) or "", match.group(3) or "+0000"
    filled = digits + ("99991231235959" if last else "00010101000000")[len(digits) :]
    micro = (fraction[1:] or ("999999" if last else "0")).ljust(6, "0")[:6]
    year, month = int(filled[:4]), int(filled[4:6])
    if not (year >= 1 and 1 <= month <= 12):
        return None
    # A day that was filled in must exist in the month.
    day = int(filled[6:8]) if len(digits) >= 8 else min(int(filled[6:8]), monthrange(year, month)[1])
    try:
        hour, minute, second = (int(filled[at : at + 2]) for at in (8, 10, 12))
        local = datetime(year, month, day, hour, minute, second, int(micro), UTC)
        distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
        return local + distance if offset[0] == "-" else local - distance
    except (ValueError, OverflowError):
        return None

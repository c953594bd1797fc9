"""Does a workitem match a query? Attribute matching of the standard, also for UPS filtered subscriptions.

Source: PS3.4 C.2.2.2 (attribute matching), CC.2.8 (UPS Query).
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pydicom import Dataset
from pydicom.dataelem import DataElement

# Wild cards have no meaning in these (PS3.4 C.2.2.2.4).
_NO_WILD_CARDS = frozenset({"DA", "DT", "TM", "UI", "IS", "DS", "SS", "US", "SL", "UL", "FL", "FD", "AT"})
_RANGES = frozenset({"DA", "DT", "TM"})
_DT = r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?"
_TM_DA = r"[\d:.]*"
_RANGE = re.compile(rf"(?P<first>{_DT}|{_TM_DA})-(?P<last>{_DT}|{_TM_DA})")
_WITH_OFFSET = re.compile(r"\d{8,14}(?:\.\d{1,6})?-\d{4}")
_MOMENT = re.compile(r"(\d{4,14})(\.\d{1,6})?([+-]\d{4})?")
# What is no attribute of a workitem but says how the query is to be read.
_CONTROL = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC", "TransactionUID"})


def matches(content: Dataset, keys: Dataset) -> bool:
    """Return whether a workitem's attributes match all keys; a key without a value matches everything."""
    return all(_element_matches(content, key) for key in keys if key.keyword not in _CONTROL)


def selected(content: Dataset, keys: Dataset) -> Dataset:
    """Return the attributes that the keys ask for; one that the workitem lacks comes back empty."""
    answer = Dataset()
    for key in keys:
        if key.keyword in _CONTROL:
            continue
        found = content.get_item(key.tag) if key.tag in content else None
        if found is None:
            answer.add_new(key.tag, key.VR, [] if key.VR == "SQ" else None)
        else:
            answer[key.tag] = content[key.tag]
    if "SpecificCharacterSet" in content:
        answer.SpecificCharacterSet = content.SpecificCharacterSet
    return answer


def _element_matches(content: Dataset, key: DataElement) -> bool:
    if key.VR == "SQ":
        return _sequence_matches(content, key)
    wanted = _texts(key)
    if not wanted:
        return True
    present = _texts(content[key.tag]) if key.tag in content else []
    return any(_value_matches(str(key.VR), one, value) for one in wanted for value in present)


def _sequence_matches(content: Dataset, key: DataElement) -> bool:
    """One item of keys; any item of the workitem that matches all of them is enough (C.2.2.2.6)."""
    items = list(key.value or ())
    if not items or not any(_has_value(element) for element in items[0]):
        return True
    return any(
        matches(one, items[0]) for one in content.get(key.tag, DataElement(key.tag, "SQ", [])).value or ()
    )


def _has_value(element: DataElement) -> bool:
    if element.VR == "SQ":
        return any(_has_value(inner) for item in element.value or () for inner in item)
    return bool(_texts(element))


def _texts(element: DataElement) -> list[str]:
    value = element.value
    values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return [str(one).strip(" \0") for one in values if one is not None and str(one).strip(" \0")]


def _value_matches(vr: str, wanted: str, value: str) -> bool:
    if vr in _RANGES and (ends := _ends_of(vr, wanted)) is not None:
        return _in_range(vr, ends, value)
    if vr == "DT":
        return _in_range(vr, (wanted, wanted), value)
    if vr == "PN":
        return bool(_pattern(wanted.casefold().rstrip("^")).fullmatch(value.casefold().rstrip("^")))
    if vr in _NO_WILD_CARDS:
        return wanted == value
    return bool(_pattern(wanted).fullmatch(value))


@lru_cache(maxsize=256)
def _pattern(wanted: str) -> re.Pattern[str]:
    """`*` is any run of characters, `?` is one (PS3.4 C.2.2.2.4)."""
    parts = (
        ".*" if char == "*" else "." if char == "?" else re.escape(char)
        for char in re.sub(r"\*+", "*", wanted)
    )
    return re.compile("".join(parts), re.DOTALL)


def _ends_of(vr: str, wanted: str) -> tuple[str, str] | None:
    """The two ends of a range, either of them empty where it is open; None where this is a single value."""
    if vr == "DT" and _WITH_OFFSET.fullmatch(wanted):
        return None
    match = _RANGE.fullmatch(wanted)
    return None if match is None else (match.group("first") or "", match.group("last") or "")


def _in_range(vr: str, ends: tuple[str, str], value: str) -> bool:
    first, last = ends
    if vr != "DT":
        return (not first or first <= value[: len(first)]) and (not last or value[: len(last)] <= last)
    moment = _moment(value, last=False)
    if moment is None:
        return False
    earliest, latest = _moment(first, last=False), _moment(last, last=True)
    return (not first or (earliest is not None and earliest <= moment)) and (
        not last or (latest is not None and moment <= latest)
    )


def _moment(text: str, *, last: bool) -> datetime | None:
    """A DT value as a moment, filled in with its beginning, or with `last` its end; None if unreadable."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    digits, fraction, offset = match.group(1), match.group(2) or "", match.group(3) or "+0000"
    filled = digits + ("99991231235959" if last else "00010101000000")[len(digits) :]
    micro = (fraction[1:] or ("999999" if last else "0")).ljust(6, "0")[:6]
    year, month = int(filled[:4]), int(filled[4:6])
    if not (year >= 1 and 1 <= month <= 12):
        return None
    # A day that was filled in is at most the month's last one.
    day = int(filled[6:8]) if len(digits) >= 8 else min(int(filled[6:8]), monthrange(year, month)[1])
    try:
        hour, minute, second = (int(filled[at : at + 2]) for at in (8, 10, 12))
        local = datetime(year, month, day, hour, minute, second, int(micro), UTC)
        distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
        return local + distance if offset[0] == "-" else local - distance
    except (ValueError, OverflowError):
        return None

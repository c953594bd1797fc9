"""Brings an attribute's value into a form that can be compared between files: as a DICOM value, not as a
string.

Changes that an archive makes without changing the meaning do not count: digits of a number, the form of a
date or a time, padding, upper and lower case of a code string, empty attributes and empty items, group
lengths, private elements, and the meaning of a code next to its value. Source: PS3.5 6.2, 7.5; PS3.3 8.3.
Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from dicom_sr.attributes import FOREIGN_ERRORS

_CODES = ("CodeValue", "LongCodeValue", "URNCodeValue")
# Elements without a value: group lengths, and padding at the end of a data set or an item.
_LENGTH, _PADDING = 0x0000, 0xFFFC


def comparable(dataset: Dataset, attribute: str | BaseTag) -> Any:
    """Return a value that is equal for equal contents; empty text for an absent or empty one."""
    try:
        return _element(dataset[attribute]) if attribute in dataset else ""
    except FOREIGN_ERRORS:
        # Not a valid value of its VR: only identical bytes are equal.
        return repr(dataset.get_item(attribute).value)


def _element(element: DataElement) -> Any:
    value = element.value
    if element.VR == "SQ":
        items = [one for one in map(_item, value or ()) if one]
        return items or ""
    if value is None:
        return ""
    values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    forms = [_form(element.VR, one) for one in values]
    return tuple(forms) if any(form != "" for form in forms) else ""


def _item(item: Dataset) -> dict[int, Any]:
    coded = any(comparable(item, keyword) for keyword in _CODES)
    found = {
        int(tag): value
        for tag in item.keys()  # noqa: SIM118 - a data set iterates over elements, which reads each of them
        if not (tag.is_private or tag.element == _LENGTH or tag.group == _PADDING)
        if (value := comparable(item, tag)) != ""
    }
    if coded:
        found.pop(0x00080104, None)  # Code Meaning
    return found


def _form(vr: str, value: Any) -> Any:
    text = unicodedata.normalize("NFC", str(value)).strip(" \0")
    if vr in ("DS", "IS"):
        return float(value) if text else ""
    if vr == "DA":
        return re.sub(r"[.\-/ ]", "", text)
    if vr == "TM":
        return re.sub(r"\.0*$", "", re.sub(r"(\.\d*?)0+$", r"\1", text.replace(":", "")))
    if vr == "CS":
        return " ".join(text.upper().split())
    if vr == "AS":
        return text.upper().lstrip("0")
    return _name(text) if vr == "PN" else text


def _name(text: str) -> str:
    groups = [_joined((part.strip() for part in group.split("^")), "^") for group in text.split("=")]
    return _joined(groups, "=").casefold()


def _joined(parts: Iterable[str], by: str) -> str:
    return by.join(parts).rstrip(by)

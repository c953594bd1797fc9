"""Single elements of an image's header as clean values, however malformed; nothing is guessed.

Identifiers are complete or absent; everything else is cleaned, shortened or left empty, so that a missing
birth date or a misspelt character set never stops a draft.
"""

from __future__ import annotations

import datetime
import re
import unicodedata

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from dicom_sr import attributes
from dicom_sr.charset import clean, source_text, stated_text
from dicom_sr.errors import SourceIdentityError

_CHARACTER_SET = Tag(0x0008, 0x0005)
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_ELLIPSIS = "..."
# Characters with which senders pad an identifier; any other character belongs to it.
_PADDING = " \0\r\n\t\f"


def text(dataset: Dataset, keyword: str, *, is_name: bool = False) -> str:
    """One text element as clean Unicode; empty if absent."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else source_text(dataset, tag, is_name=is_name)


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID as it stands.

    Raises:
        SourceIdentityError: absent, or not a valid UID (PS3.5 9.1).
    """
    value = text(dataset, keyword).strip("\0 ")
    if len(value) > 64 or _UID.fullmatch(value) is None:
        raise SourceIdentityError(
            f"{keyword} of an image is missing or not a valid UID: correct it at the sender"
        )
    return value


def uid_or_nothing(dataset: Dataset, keyword: str) -> str:
    """A UID as it stands; empty if it is absent or not valid."""
    try:
        return uid(dataset, keyword)
    except SourceIdentityError:
        return ""


def patient_id(dataset: Dataset) -> str:
    """The Patient ID as it stands; empty if absent.

    Raises:
        SourceIdentityError: longer than 64 characters, several values, or a control character in it.
    """
    value = identifier_as_stated(dataset, "PatientID")
    why = _unfit(value, 64)
    if why is not None:
        raise SourceIdentityError(f"PatientID of an image cannot be written: {why}")
    return value


def person_name(dataset: Dataset, keyword: str) -> str:
    """A name with at most three groups of 64 characters and five components each (PS3.5 6.2)."""
    groups = text(dataset, keyword, is_name=True).replace("\\", " ").split("=")[:3]
    shortened = ("^".join(group.split("^")[:5])[:64].strip() for group in groups)
    return "=".join(shortened).rstrip("=")


def date(dataset: Dataset, keyword: str) -> str:
    """A DA value, empty if it is not a date; the old form with dots is accepted."""
    digits = text(dataset, keyword).replace(".", "").replace("-", "")
    if re.fullmatch(r"\d{8}", digits) is None:
        return ""
    try:
        datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return ""
    return digits


def time(dataset: Dataset, keyword: str) -> str:
    """A TM value, empty if it is not a time; the old form with colons is accepted."""
    value = text(dataset, keyword).replace(":", "")
    match = re.fullmatch(r"([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d)(\.\d{1,6})?)?)?", value)
    return value if match else ""


def identifier(dataset: Dataset, keyword: str, length: int, notes: list[str]) -> str:
    """An identifier of at most `length` characters as it stands, or empty and a note that quotes it whole."""
    return whole(identifier_as_stated(dataset, keyword), keyword, length, notes)


def identifier_as_stated(dataset: Dataset, keyword: str) -> str:
    """An identifier without its padding, even if it cannot be written: for comparing it with others."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else stated_text(dataset, tag).strip(_PADDING)


def whole(value: str, keyword: str, length: int, notes: list[str]) -> str:
    """Return an identifier as it stands if it fits its attribute, else nothing and a note that quotes it.

    It is never shortened or cleaned: part of a number may be another patient's or order's complete number.
    """
    why = _unfit(value, length)
    if why is None:
        return value
    name = dictionary_description(Tag(tag_for_keyword(keyword) or 0))
    note = f"{name} as received ({why}, so it is not in its DICOM attribute): {clean(value)}."
    if note not in notes:
        notes.append(note)
    return ""


def _unfit(value: str, length: int) -> str | None:
    """Why an identifier cannot be a single value of an attribute; None if it can."""
    if "\\" in value:
        return "several values"
    if any(unicodedata.category(char) == "Cc" for char in value):
        return "control characters in it"
    return None if len(value) <= length else f"more than {length} characters"


def short(dataset: Dataset, keyword: str, length: int) -> str:
    """Words for display, cut to `length` bytes of UTF-8, short enough for every checker."""
    return shortened(text(dataset, keyword).replace("\\", " "), length)


def shortened(value: str, length: int) -> str:
    """Words cut to `length` bytes of UTF-8, with an ellipsis."""
    if len(value.encode()) <= length:
        return value
    return value.encode()[: length - len(_ELLIPSIS)].decode(errors="ignore").rstrip() + _ELLIPSIS


def sex(dataset: Dataset) -> str:
    """Patient's Sex as M, F or O; empty if it is none of them."""
    value = text(dataset, "PatientSex").upper()
    return value if value in {"M", "F", "O"} else ""


def timezone(dataset: Dataset) -> str:
    """Timezone Offset From UTC, empty if it is invalid (PS3.3 C.12.1)."""
    value = text(dataset, "TimezoneOffsetFromUTC")
    return value if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", value) and value != "-0000" else ""


def integer(dataset: Dataset, keyword: str) -> int:
    """A positive number, or 0."""
    value = attributes.integer(dataset, keyword)
    return value if value is not None and value > 0 else 0


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, with the character set that they inherit; empty if it cannot be read."""
    return [_with_character_set(item, dataset) for item in attributes.items(dataset, keyword)]


def code(dataset: Dataset, keyword: str) -> Code | None:
    """The first complete code of a code sequence (PS3.3 8.8)."""
    for item in items(dataset, keyword):
        stated = (text(item, name) for name in ("CodeValue", "LongCodeValue", "URNCodeValue"))
        value = next((one for one in stated if one), "")
        scheme, meaning = text(item, "CodingSchemeDesignator"), short(item, "CodeMeaning", 64)
        if value and meaning and 0 < len(scheme) <= 16:
            return Code(value, scheme, meaning)
    return None


def _with_character_set(item: Dataset, parent: Dataset) -> Dataset:
    """An item without a character set of its own inherits its parent's (PS3.5 7.5.3)."""
    if _CHARACTER_SET in item or _CHARACTER_SET not in parent:
        return item
    copy = Dataset()
    for tag in set(item.keys()):
        copy[tag] = item.get_item(tag)
    copy[_CHARACTER_SET] = parent.get_item(_CHARACTER_SET)
    return copy

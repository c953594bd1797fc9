"""The guarded way to read an attribute: a value of the expected kind, or nothing. Pure.

An optional attribute with the wrong VR, the wrong multiplicity or garbage in it counts as absent, so that the
study's other images are not lost. To distinguish absent from unreadable, use `is_stated`.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from dicom_sr.charset import guess_of, source_codecs
from dicom_sr.charset_guess import read_as

# Exceptions that pydicom raises if an element's bytes do not fit its value representation, and its warnings
# if these are errors.
FOREIGN_ERRORS = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, RuntimeError,
    TypeError, ValueError, Warning, struct.error,
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_LONGEST_NUMBER = 64


# An attribute by its keyword, or by its tag for a repeating group without a keyword.
Attribute = str | int


def is_stated(dataset: Dataset, keyword: Attribute) -> bool:
    """Whether the attribute is present with a value, readable or not."""
    tag = _tag(keyword)
    if tag is None or tag not in dataset:
        return False
    return _raw(dataset, keyword) not in (None, "", b"", [])


def text(dataset: Dataset, keyword: str) -> str:
    """Return a text, with several values joined by a backslash; empty if it is absent or not text.

    A character set that is not declared is guessed, once for the image.
    """
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a text attribute; empty if it is absent or not text."""
    value = _value(dataset, keyword)
    parts = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    if isinstance(value, bytes):
        parts = read_as(value.rstrip(b"\0 "), guess_of(source_codecs(dataset)))[1].split("\\")
    if not all(isinstance(part, str | PersonName) for part in parts):
        return ()
    words = tuple(_declared(dataset, str(part)).strip("\0 ") for part in parts)
    return words if any(words) else ()


def number(dataset: Dataset, keyword: Attribute) -> float | None:
    """Return the first value of a numeric attribute; None if it is absent or not a finite number.

    A decimal comma is understood: "-1,0" is -1.0.
    """
    found = numbers(dataset, keyword)
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: Attribute) -> tuple[float, ...]:
    """Return the values of a numeric attribute; empty if it is absent or one of them is not a number."""
    value = _value(dataset, keyword)
    if value is None or isinstance(value, Sequence):
        return ()
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        value = value.split("\\")
    parts = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    found = [_number(part) for part in parts]
    return tuple(one for one in found if one is not None) if None not in found else ()


def integer(dataset: Dataset, keyword: Attribute) -> int | None:
    """Return the first value of an integer attribute; None if it is absent or not an integer."""
    value = number(dataset, keyword)
    return int(value) if value is not None and value == int(value) else None


def integers(dataset: Dataset, keyword: Attribute) -> tuple[int, ...]:
    """Return the values of an integer attribute; empty if it is absent or one is not an integer."""
    found = numbers(dataset, keyword)
    return tuple(int(one) for one in found) if all(one == int(one) for one in found) else ()


def octets(dataset: Dataset, keyword: Attribute) -> bytes:
    """Return the value of an attribute that pydicom leaves as bytes (OB, OW, UN); empty for any other."""
    value = _value(dataset, keyword)
    return value if isinstance(value, bytes) else b""


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; empty if it is absent or not a sequence."""
    value = _value(dataset, keyword)
    if not isinstance(value, Sequence):
        return ()
    try:
        return tuple(value)
    except FOREIGN_ERRORS:
        return ()


def _number(part: Any) -> float | None:
    if isinstance(part, bool) or part is None:
        return None
    if isinstance(part, str):
        plain = part.strip("\0 ")
        if len(plain) > _LONGEST_NUMBER or not _NUMBER.fullmatch(plain):
            return None
        part = plain.replace(",", ".")
    try:
        found = float(part)
    except FOREIGN_ERRORS:
        return None
    return found if math.isfinite(found) else None


def _tag(attribute: Attribute) -> int | None:
    return attribute if isinstance(attribute, int) else tag_for_keyword(attribute)


def _value(dataset: Dataset, keyword: Attribute) -> Any:
    """Return the value as read by pydicom, else its bytes; None if there is none."""
    tag = _tag(keyword)
    if tag is None or tag not in dataset:
        return None
    raw = _raw(dataset, keyword)
    try:
        return dataset[tag].value
    except FOREIGN_ERRORS:
        return raw if isinstance(raw, bytes) else None


def _raw(dataset: Dataset, keyword: Attribute) -> Any:
    tag = _tag(keyword)
    try:
        element = None if tag is None else dataset.get_item(tag)
    except FOREIGN_ERRORS:
        return None
    return None if element is None else element.value


def _declared(dataset: Dataset, words: str) -> str:
    """Decode again a text that pydicom read as Latin-1 because no character set was declared."""
    if words.isascii():
        return words
    try:
        raw = words.encode("latin-1")
    except UnicodeEncodeError:
        return words  # it was read with a declared character set
    declared = _raw(dataset, "SpecificCharacterSet")
    if isinstance(declared, bytes):
        declared = declared.decode("ascii", errors="replace")
    first = str(declared[0] if isinstance(declared, MultiValue | list) and declared else declared or "")
    encoding = python_encoding.get(first.split("\\")[0].strip("\0 "), "")
    if encoding in ("", "ascii", "iso8859"):
        return read_as(raw, guess_of(source_codecs(dataset)))[1]
    try:
        return raw.decode(encoding)
    except (LookupError, UnicodeDecodeError):
        return words

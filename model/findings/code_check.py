"""Checks whether a Structured Report can carry the codes of a vocabulary.

The limits are those of DICOM's attributes (PS3.5 6.2: SH for the scheme, LO for the meaning, SH or UC for the
value), in the bytes of UTF-8 where the writer of the documents counts bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

_SCHEME, _MEANING = 16, 64  # characters; bytes


def code_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """Every problem of the codes of concepts; and of locations, whose key and name become a code."""
    for key, entry in data["concepts"].items():
        if "code" in entry:
            scheme, value, meaning = entry["code"]
            place = f"concepts.{key}.code"
            yield from _scheme_problems(place, scheme)
            yield from _text_problems(place, "the value", value)
            yield from _meaning_problems(place, "the meaning", meaning)
    for key, entry in data["locations"].items():
        yield from _text_problems(f"locations.{key}", "the key", key)
        if "name" in entry:
            yield from _meaning_problems(f"locations.{key}", "the name", entry["name"])


def _scheme_problems(place: str, scheme: str) -> Iterator[str]:
    yield from _text_problems(place, "the scheme", scheme)
    if len(scheme) > _SCHEME or any(character.isspace() for character in scheme.strip()):
        yield f"{place}: the scheme {scheme!r} must have at most {_SCHEME} characters and no blanks"


def _meaning_problems(place: str, what: str, text: str) -> Iterator[str]:
    yield from _text_problems(place, what, text)
    if len(text.encode()) > _MEANING:
        yield f"{place}: {what} has more than {_MEANING} bytes (in UTF-8): shorten it"


def _text_problems(place: str, what: str, text: str) -> Iterator[str]:
    if not text.strip():
        yield f"{place}: {what} is empty"
    elif text != text.strip():
        yield f"{place}: {what} {text!r} has blanks at its ends: remove them"
    if "\\" in text or any(unicodedata.category(character) == "Cc" for character in text):
        yield f"{place}: {what} {text!r} has a backslash or a control character: remove it"

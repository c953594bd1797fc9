"""The shape of a file's data: which parts it may have, and of what kind each is.

The rules that combine the parts (is this a concept, who owns this word) may rely on it, so that a mistake in
a file is an error with its place and never a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.findings.text_maps import UNQUOTED


@dataclass(frozen=True, slots=True)
class PlainValue:
    """A plain value; `said` is what it must be."""

    said: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class WordList:
    """A list of texts."""


@dataclass(frozen=True, slots=True)
class KeyedShape:
    """A mapping with any keys, all of whose values have one shape."""

    of: Shape


@dataclass(frozen=True, slots=True)
class RecordShape:
    """A mapping with these keys only, of which `needed` must be there."""

    fields: Mapping[str, Shape]
    needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordList:
    """A list of records."""

    of: RecordShape


Shape = PlainValue | WordList | KeyedShape | RecordShape | RecordList
_LEFT_OUT = object()


def fitting(
    value: object, shape: KeyedShape | RecordShape, place: str, problems: list[str]
) -> dict[str, Any]:
    """`value` without the parts that do not have their shape; each of these is added to `problems`."""
    fits = _fit(value, shape, place, problems)
    return fits if isinstance(fits, dict) else {}


def _fit(value: object, shape: Shape, place: str, problems: list[str]) -> object:
    if isinstance(shape, PlainValue):
        if shape.fits(value):
            return value
        return _wrong(place, f"must be {shape.said}, not {value!r}", problems)
    if isinstance(shape, WordList | RecordList):
        if not isinstance(value, list):
            what = "words" if isinstance(shape, WordList) else "entries"
            return _wrong(place, f"must be a list of {what}, in brackets", problems)
        if isinstance(shape, WordList):
            return [word for word in value if _is_text(word) or _wrong_text(place, word, problems)]
        rows = [_fit(row, shape.of, f"{place}.{number}", problems) for number, row in enumerate(value)]
        return [row for row in rows if row is not _LEFT_OUT]
    if not isinstance(value, dict):
        return _wrong(place, "must be a mapping", problems)
    return _fit_mapping(value, shape, place, problems)


def _fit_mapping(
    value: Mapping[object, object], shape: KeyedShape | RecordShape, place: str, problems: list[str]
) -> object:
    fits: dict[str, object] = {}
    for key, entry in value.items():
        at = f"{place}.{key}" if place else str(key)
        of = shape.of if isinstance(shape, KeyedShape) else shape.fields.get(str(key))
        if not isinstance(key, str) or not key.strip():
            problems.append(f"{place or 'the file'}: the key {key!r} {UNQUOTED}")
        elif of is None:
            known = shape.fields if isinstance(shape, RecordShape) else ()
            problems.append(f"{at}: `{key}` is not known here; use one of {', '.join(known)}")
        elif (fit := _fit(entry, of, at, problems)) is not _LEFT_OUT:
            fits[key] = fit
    missing = [key for key in shape.needed if key not in value] if isinstance(shape, RecordShape) else []
    return _wrong(place, f"needs {' and '.join(missing)}", problems) if missing else fits


def _is_text(word: object) -> bool:
    return isinstance(word, str) and bool(word.strip())


def _wrong_text(place: str, word: object, problems: list[str]) -> bool:
    problems.append(f"{place}: {word!r} {UNQUOTED}")
    return False


def _wrong(place: str, text: str, problems: list[str]) -> object:
    problems.append(f"{place or 'the file'}: {text}")
    return _LEFT_OUT

"""Stores every value of a workitem as a row, so that the database can search for it.

A row holds the attribute's path as a number, and at most 64 characters of the value in its comparable form.

Source: PS3.4 C.2.2.2 (attribute matching), PS3.18 annex F (DICOM JSON).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Set
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from agent.database.workitems import WorkitemValue
from agent.ris.ups.matching import NUMBERS, Json, comparable_name, moment_of, number_of, text_of

Entry = tuple[int, str]
# Number of characters of a value that are kept; a longer one is compared by its beginning.
LONGEST = 64
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_CHARACTER_SET = "00080005"


def path_number(names: Iterable[str]) -> int:
    """Return the number of an attribute's path: tags in hexadecimal digits, from the outermost sequence."""
    return zlib.crc32(".".join(names).encode())


def is_indexed(name: str, vr: str) -> bool:
    """Return whether the values of an attribute have rows: binary and private ones do not."""
    return name != _CHARACTER_SET and vr not in _BINARY and int(name[:4], 16) % 2 == 0


def comparable(vr: str, text: str) -> str | None:
    """Return a value in its comparable form, not truncated; None if no key can match it."""
    if vr == "DT":
        moment = moment_of(text, last=False)
        return None if moment is None else moment.isoformat(timespec="microseconds")
    if vr == "PN":
        return comparable_name(text)
    return str(number_of(text)) if vr in NUMBERS else text


def entries_of(content: Json) -> Set[Entry]:
    """Return path and value of every row of a workitem."""
    return frozenset(_entries(content, ()))


def _entries(content: Json, before: tuple[str, ...]) -> Iterator[Entry]:
    for name, element in content.items():
        vr, values = str(element.get("vr", "")), element.get("Value") or ()
        if not values or not is_indexed(name, vr):
            continue
        path = (*before, name)
        if vr == "SQ":
            for item in values:
                yield from _entries(item, path)
            continue
        number = path_number(path)
        for value in values:
            if (text := comparable(vr, text_of(value))) is not None:
                yield number, text[:LONGEST]


def write(session: Session, workitem_id: int, before: Set[Entry], after: Set[Entry]) -> None:
    """Update a workitem's rows from its old values to its new ones."""
    for path, value in before - after:
        gone = WorkitemValue.workitem_id == workitem_id, WorkitemValue.path == path
        session.execute(delete(WorkitemValue).where(*gone, WorkitemValue.value == value))
    if added := rows_of(workitem_id, after - before):
        session.execute(insert(WorkitemValue), added)


def rows_of(workitem_id: int, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the rows of a workitem as values to insert."""
    return [{"workitem_id": workitem_id, "path": path, "value": value} for path, value in entries]

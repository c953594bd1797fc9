"""Signed reports from a CSV file, one line each.

Columns, by their names in the first line: `text`, and `study_instance_uid` or `accession_number` with
`patient_id`; `signed_at` (ISO 8601, UTC where it names no zone), `signed_by` and `issuer_of_patient_id` are
optional. Other columns are ignored.

The quotation marks are checked strictly: with one that is not closed, the texts of several patients would be
one text of the first.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from agent.foundation.clock import storable_time
from agent.foundation.errors import UnusableFile
from agent.shadow.signed import SignedText

_NEEDED = "text"
_COLUMNS = (
    "study_instance_uid",
    "accession_number",
    "patient_id",
    "issuer_of_patient_id",
    "signed_by",
)
_KNOWN = frozenset({_NEEDED, "signed_at", *_COLUMNS})
# A spreadsheet separates by what the language of its machine uses.
_SEPARATORS = (",", ";", "\t")
_UID = re.compile(r"[0-9.]{1,64}")
LONGEST_TEXT = 200_000
_KEPT = "lines before it are taken; correct the file and import it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is not a signed report, and why; the text itself is not quoted."""

    number: int
    reason: str


def read_csv(path: Path, latest: datetime | None = None) -> Iterator[SignedText | BadLine]:
    """Yield the reports in a file (UTF-8, with or without a byte order mark; separated by commas, semicolons
    or tabs), and the lines that are not reports.

    latest: a later `signed_at` is a mistake; such a report would stand against every correction.

    Raises:
        UnusableFile: it cannot be read, its first line does not name the columns, or its quotation marks do
            not say where a text ends.
    """
    csv.field_size_limit(min(sys.maxsize, 10 * LONGEST_TEXT))
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            lines = csv.reader(chain([first], file), delimiter=_separator(first), strict=True)
            names = _names(path, next(lines, []))
            for fields in lines:
                number = lines.line_num
                if fields:
                    line = _line(names, fields, number)
                    yield line if latest is None else _not_after(latest, line, number)
    except UnicodeDecodeError:
        raise UnusableFile(
            f"{path} is not UTF-8: save it as `CSV UTF-8` and import it again; what was taken is kept"
        ) from None
    except csv.Error:
        raise UnusableFile(
            f"{path}: after line {number} a quotation mark is not closed, or not doubled in a text; {_KEPT}"
        ) from None
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {type(error).__name__}") from error


def _separator(first: str) -> str:
    """Return what separates the names in the first line."""
    return max(_SEPARATORS, key=first.count)


def _names(path: Path, fields: Sequence[str]) -> list[str]:
    """Return the names of the columns, in lower case."""
    names = [name.strip().lower() for name in fields]
    if _NEEDED not in names or not {"study_instance_uid", "accession_number"} & set(names):
        raise UnusableFile(
            f"{path}: the first line must name the columns `text` and `study_instance_uid`, or "
            "`text`, `accession_number` and `patient_id`"
        )
    twice = sorted(name for name in _KNOWN if names.count(name) > 1)
    if twice:
        raise UnusableFile(f"{path}: the first line names the column `{twice[0]}` twice")
    return names


def _line(names: Sequence[str], fields: Sequence[str], number: int) -> SignedText | BadLine:
    # Spreadsheets write empty fields at the end; anything else there is the rest of a text.
    if any(field.strip() for field in fields[len(names) :]):
        return BadLine(
            number=number,
            reason="it has more fields than the first line: put a text that contains the separator in "
            "quotation marks",
        )
    return _signed(dict(zip(names, fields, strict=False)), number)


def _signed(row: dict[str, str], number: int) -> SignedText | BadLine:
    values = {name: row.get(name, "").strip() for name in _COLUMNS}
    text = row.get(_NEEDED, "").strip()
    if not text:
        return BadLine(number=number, reason="the text is empty")
    if len(text) > LONGEST_TEXT:
        return BadLine(number=number, reason=f"the text is longer than {LONGEST_TEXT} characters")
    if not values["study_instance_uid"] and not (values["accession_number"] and values["patient_id"]):
        return BadLine(
            number=number, reason="it names neither a study UID nor an accession number with a patient ID"
        )
    if values["study_instance_uid"] and _UID.fullmatch(values["study_instance_uid"]) is None:
        return BadLine(number=number, reason="`study_instance_uid` is not a UID")
    at = _moment(row.get("signed_at", "").strip())
    if at is None:
        return BadLine(number=number, reason="`signed_at` is not an ISO 8601 time such as 2026-01-31T14:05")
    digest = hashlib.sha256("\x00".join([*values.values(), at.isoformat(), text]).encode()).hexdigest()
    return SignedText(source="csv", key=digest, text=text, signed_at=at, **values)


def _not_after(latest: datetime, line: SignedText | BadLine, number: int) -> SignedText | BadLine:
    if isinstance(line, SignedText) and line.signed_at > latest:
        return BadLine(number=number, reason="`signed_at` lies in the future")
    return line


def _moment(stated: str) -> datetime | None:
    """Return the time that a line states, 1970 where it states none; None if it is no time."""
    try:
        at = datetime.fromisoformat(stated) if stated else datetime(1970, 1, 1, tzinfo=UTC)
    except ValueError:
        return None
    return storable_time(at if at.tzinfo is not None else at.replace(tzinfo=UTC))

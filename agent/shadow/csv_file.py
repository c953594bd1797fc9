"""Signed reports from a CSV file, one line each.

Columns, by their names in the first line: `text`, and `study_instance_uid` or `accession_number` with
`patient_id`; `signed_at` (ISO 8601, UTC where it names no zone), `signed_by` and `issuer_of_patient_id` are
optional. Other columns are ignored.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
_UID = re.compile(r"[0-9.]{1,64}")
LONGEST_TEXT = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is not a signed report, and why; the text itself is not quoted."""

    number: int
    reason: str


def read_csv(path: Path) -> Iterator[SignedText | BadLine]:
    """Yield the reports in a file (UTF-8, with or without a byte order mark), and the lines that are not
    reports.

    Raises:
        UnusableFile: it cannot be read, or its first line does not name the columns.
    """
    csv.field_size_limit(min(sys.maxsize, 10 * LONGEST_TEXT))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            names = lines.fieldnames or ()
            if _NEEDED not in names or not {"study_instance_uid", "accession_number"} & set(names):
                raise UnusableFile(
                    f"{path}: the first line must name the columns `text` and `study_instance_uid`, or "
                    "`text`, `accession_number` and `patient_id`"
                )
            for row in lines:
                yield _signed({name: value or "" for name, value in row.items() if name}, lines.line_num)
    except UnicodeDecodeError:
        raise UnusableFile(f"{path} is not UTF-8") from None
    except (OSError, csv.Error) as error:
        raise UnusableFile(f"{path} cannot be read: {type(error).__name__}") from error


def _signed(row: dict[str, str], number: int) -> SignedText | BadLine:
    values = {name: row.get(name, "").strip() for name in _COLUMNS}
    text = row[_NEEDED].strip()
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
    stated = row.get("signed_at", "").strip()
    try:
        at = datetime.fromisoformat(stated) if stated else datetime(1970, 1, 1, tzinfo=UTC)
    except ValueError:
        return BadLine(number=number, reason="`signed_at` is not an ISO 8601 time such as 2026-01-31T14:05")
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    digest = hashlib.sha256("\x00".join([*values.values(), at.isoformat(), text]).encode()).hexdigest()
    return SignedText(source="csv", key=digest, text=text, signed_at=at, **values)

"""Signed reports from a CSV file, one line each.

Columns, by their names in the first line: `text`, and `study_instance_uid` or `accession_number` with
`patient_id`; `signed_at` (ISO 8601, UTC where it names no zone), `signed_by` and `issuer_of_patient_id` are
optional. Other columns are ignored. How strictly the file is read: `agent/foundation/csv_table.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.foundation.clock import storable_time
from agent.foundation.csv_table import read_table
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
_UID = re.compile(r"[0-9.]{1,64}")
LONGEST_TEXT = 200_000
_KEPT = "lines before it are taken; correct the file and import it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is not a signed report, and why; the text itself is not quoted."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SameTime:
    """The lines of each study at each time: of several reports, only their order says which one counts."""

    lines: dict[tuple[str, ...], dict[bytes, int]] = field(default_factory=dict)

    def note(self, report: SignedText, number: int) -> None:
        """Note a report's line; one that says the same as another is no second report."""
        named = (report.accession_number, report.patient_id, report.issuer_of_patient_id)
        study = (report.study_instance_uid,) if report.study_instance_uid else named
        lines = self.lines.setdefault((*study, report.signed_at.isoformat()), {})
        lines.setdefault(hashlib.sha256(report.text.encode()).digest(), number)

    def several(self) -> list[list[int]]:
        """Return the lines of each study that has several reports of one time, or without a time."""
        return [sorted(one.values()) for one in self.lines.values() if len(one) > 1]


def read_csv(
    path: Path, latest: datetime | None = None, same: SameTime | None = None
) -> Iterator[SignedText | BadLine]:
    """Yield the reports in a file, and the lines that are not reports.

    latest: a later `signed_at` is a mistake; such a report would stand against every correction. same: is
    told of every report.

    Raises:
        UnusableFile: it is not a table, or its first line does not name the columns.
    """
    for row in read_table(path, _KNOWN, _lacking, _KEPT):
        if row.fault:
            yield BadLine(number=row.number, reason=row.fault)
        else:
            line = _not_after(latest, _signed(row.values, row.number), row.number)
            if same is not None and isinstance(line, SignedText):
                same.note(line, row.number)
            yield line


def _lacking(names: Collection[str]) -> str:
    if _NEEDED in names and {"study_instance_uid", "accession_number"} & set(names):
        return ""
    return "the columns `text` and `study_instance_uid`, or `text`, `accession_number` and `patient_id`"


def _signed(row: Mapping[str, str], number: int) -> SignedText | BadLine:
    values = {name: row.get(name, "") for name in _COLUMNS}
    text = row.get(_NEEDED, "")
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
    at = _moment(row.get("signed_at", ""))
    if at is None:
        return BadLine(number=number, reason="`signed_at` is not an ISO 8601 time such as 2026-01-31T14:05")
    digest = hashlib.sha256("\x00".join([*values.values(), at.isoformat(), text]).encode()).hexdigest()
    return SignedText(source="csv", key=digest, text=text, signed_at=at, **values)


def _not_after(latest: datetime | None, line: SignedText | BadLine, number: int) -> SignedText | BadLine:
    if latest is not None and isinstance(line, SignedText) and line.signed_at > latest:
        return BadLine(number=number, reason="`signed_at` lies in the future")
    return line


def _moment(stated: str) -> datetime | None:
    """Return the time that a line states, 1970 where it states none; None if it is no time."""
    try:
        at = datetime.fromisoformat(stated) if stated else datetime(1970, 1, 1, tzinfo=UTC)
    except ValueError:
        return None
    return storable_time(at if at.tzinfo is not None else at.replace(tzinfo=UTC))

"""The table of reports that belongs to a folder of DICOM files: each study's text, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.foundation.csv_table import TableRow, read_table
from agent.foundation.errors import UnusableFile
from model.train.sources.sections import split_report

_KEYS = ("study_instance_uid", "accession_number")
_SECTIONS = ("findings", "impression")
_KNOWN = (*_KEYS, "patient_id", "text", *_SECTIONS)
_REMEDY = "correct the file; nothing has been written"
_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReport:
    """A report's sections. patient_id: as the table states it, if it does. line: where it stands."""

    sections: Mapping[str, str]
    patient_id: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReports:
    """The reports by Study Instance UID, and by Accession Number."""

    of_studies: dict[str, KnownReport]
    of_accessions: dict[str, KnownReport]


def read_reports(table: Path) -> KnownReports:
    """Read a table of reports.

    Raises:
        UnusableFile: a line cannot be used, or a study or an accession number has two different reports; one
            of them would be learnt for the wrong film.
    """
    known = KnownReports(of_studies={}, of_accessions={})
    for row in read_table(table, _KNOWN, _lacking, _REMEDY):
        if fault := row.fault or _fault(row.values):
            raise UnusableFile(f"{table}: line {row.number}: {fault}; {_REMEDY}")
        report = _report(row)
        if not report.sections:
            continue  # a study that nobody has reported yet
        for column, reports in zip(_KEYS, (known.of_studies, known.of_accessions), strict=True):
            key = row.values.get(column, "")
            before = reports.get(key)
            if before is not None and not _same(before, report):
                raise UnusableFile(
                    f"{table}: lines {before.line} and {row.number} have the same {column} and not the "
                    f"same report and patient: keep one, or name only the study in each line; {_REMEDY}"
                )
            if key and before is None:
                reports[key] = report
    return known


def _lacking(names: Collection[str]) -> str:
    if not set(_KEYS) & set(names):
        return "the column `study_instance_uid` or `accession_number`"
    if "text" not in names and not set(_SECTIONS) <= set(names):
        return "the column `text`, or `findings` and `impression`"
    return ""


def _fault(values: Mapping[str, str]) -> str:
    """Return why a row is no study's report, with the remedy; empty if it is one."""
    uid = values.get("study_instance_uid", "")
    if not uid and not values.get("accession_number"):
        return "it names no study: fill in its study_instance_uid or accession_number"
    if uid and _UID.fullmatch(uid) is None:
        return "`study_instance_uid` is not a UID: put a text of several lines in quotation marks"
    if _lacking(values):
        return "it ends before its text: put a text of several lines in quotation marks"
    return ""


def _report(row: TableRow) -> KnownReport:
    sections = split_report(row.values.get("text", ""))
    stated = {name: row.values[name] for name in _SECTIONS if row.values.get(name)}
    return KnownReport(
        sections=sections | stated, patient_id=row.values.get("patient_id", ""), line=row.number
    )


def _same(one: KnownReport, other: KnownReport) -> bool:
    return (one.sections, one.patient_id) == (other.sections, other.patient_id)

"""The pages of a report for human readers: their content, read from document B of any revision.

The pages say what the Structured Report says and nothing else: they are made from its content tree. A banner
on every page says whether the text has been verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset

from dicom_sr.attributes import text, texts
from dicom_sr.errors import ContentError
from dicom_sr.tree import children, code, require_document, words
from dicom_sr.values import BANNER

Outcome = Literal["drafted", "verified", "rejected", "withdrawn", "failed", "not_attempted"]
BANNERS: Mapping[Outcome, str] = {
    "drafted": "AI PRE-DRAFT - NOT VERIFIED",
    "verified": "VERIFIED REPORT (drafted by software)",
    "rejected": "AI DRAFT REJECTED - DO NOT USE",
    "withdrawn": "WITHDRAWN - DO NOT USE",
    "failed": "NO AI DRAFT",
    "not_attempted": "NO AI DRAFT",
}
_SECTION = "CONTAINER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and its lines."""

    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The content of the pages.

    banner: on every page. facts: label and value pairs about the patient and the study. verified: whether a
    person has verified the text. title: the document's title, as viewers list it.
    """

    title: str
    banner: tuple[str, ...]
    verified: bool
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def sheet_of(report: Dataset, outcome: Outcome) -> Sheet:
    """Return the content of the pages for a document B; outcome: the outcome of the draft.

    Raises:
        NotStructuredReportError: it is not a Structured Report.
        ContentError: the outcome says verified and the document does not, or the other way round.
    """
    require_document(report)
    verified = text(report, "VerificationFlag") == "VERIFIED"
    if verified != (outcome == "verified"):
        raise ContentError(f"the document's VerificationFlag does not fit the outcome {outcome}")
    sections = tuple(_sections(report))
    banner = BANNERS[outcome]
    demonstration = BANNER in [line for section in sections for line in section.lines]
    return Sheet(
        title=text(report, "SeriesDescription"),
        banner=(banner, BANNER) if demonstration else (banner,),
        verified=verified,
        facts=tuple((label, value) for label, value in _facts(report) if value),
        sections=sections,
    )


def _sections(report: Dataset) -> list[Section]:
    found = []
    for item in children(report):
        if text(item, "ValueType") != _SECTION:
            continue
        heading = code(item, "ConceptNameCodeSequence")
        lines = tuple(words(line, "TextValue") for line in children(item))
        found.append(Section(heading="" if heading is None else heading.meaning, lines=lines))
    return found


def _facts(report: Dataset) -> list[tuple[str, str]]:
    return [
        ("Patient", spoken_name(text(report, "PatientName"))),
        ("Patient ID", text(report, "PatientID")),
        ("Birth date", spoken_date(text(report, "PatientBirthDate"))),
        ("Sex", text(report, "PatientSex")),
        ("Study", " ".join(part for part in (_study_time(report), text(report, "StudyDescription")) if part)),
        ("Accession number", "\\".join(texts(report, "AccessionNumber"))),
        (
            "Written",
            f"{spoken_date(text(report, 'ContentDate'))} {_clock(text(report, 'ContentTime'))}".strip(),
        ),
        ("Software", f"{text(report, 'ManufacturerModelName')} {text(report, 'SoftwareVersions')}".strip()),
    ]


def spoken_name(person_name: str) -> str:
    """Return a PN in words: "Doe^Jane^Q" is "Doe, Jane Q"; the alphabetic group, else the first there is."""
    group = next((part for part in person_name.split("=") if part.strip("^ ")), "")
    parts = [part.strip() for part in group.split("^")]
    given = " ".join(part for part in parts[1:3] if part)
    return ", ".join(part for part in (parts[0], given) if part)


def spoken_date(value: str) -> str:
    """Return a DA value in the form 2026-01-31; unchanged if it is not a date."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 and value.isdigit() else value


def _clock(value: str) -> str:
    return f"{value[:2]}:{value[2:4]}" if len(value) >= 4 and value[:4].isdigit() else ""


def _study_time(report: Dataset) -> str:
    return f"{spoken_date(text(report, 'StudyDate'))} {_clock(text(report, 'StudyTime'))}".strip()

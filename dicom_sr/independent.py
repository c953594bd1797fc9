"""Reads our own and foreign documents with highdicom: a TID 1500 reader that shares no code with ours.

What counts is what a document's readers decode. Before a findings document is stored, `read_back` has
highdicom read its bytes and compares the result, group by group, with the intended findings.
`measured` returns the contents of a foreign document's measurement groups (PS3.16 TID 1411, 1501).

highdicom is imported on first use: it takes a third of a second, which the listener avoids.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from dicom_sr import codes
from dicom_sr.errors import ReadBackError
from dicom_sr.terminology import NO_FINDING, CodeKey, Terminology, code_key, default_terminology
from model.findings.types import Finding, Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The codes that one measurement group states; `finding` is None if nothing is stated as present."""

    finding: CodeKey | None
    site: CodeKey
    side: CodeKey | None
    place: CodeKey | None
    answers: frozenset[tuple[CodeKey, CodeKey]]


def read_back(document: bytes, findings: Sequence[Finding], terminology: Terminology | None = None) -> None:
    """Check that highdicom reads exactly the intended findings from a document's bytes.

    Raises:
        ReadBackError: it cannot read the document, or reads something else.
    """
    terms = terminology or default_terminology()
    meant = [_meant(finding, terms) for finding in dict.fromkeys(findings)]
    try:
        report = _report(pydicom.dcmread(io.BytesIO(document)), copy=False)
        seen = [statement(group) for group in groups_of(report)]
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError) as error:
        raise ReadBackError(
            f"highdicom cannot read the findings document ({type(error).__name__})"
        ) from error
    if seen != meant:
        wrong = sum(one != other for one, other in zip(seen, meant, strict=False)) + abs(
            len(seen) - len(meant)
        )
        raise ReadBackError(
            f"highdicom reads {len(seen)} findings where {len(meant)} were meant; {wrong} of them differ"
        )


def measured(document: Dataset) -> tuple[str, ...]:
    """Return the statements of a TID 1500 document's measurement groups, one line each; empty for any other
    document.

    Values are in the document's own words and units, such as `Nodule, Lung: Diameter 12 mm`.
    """
    try:
        return tuple(line for group in _groups(_report(document, copy=True)) if (line := _line(group)))
    except (ValueError, TypeError, AttributeError, LookupError, RuntimeError, OSError):
        return ()  # not a Structured Report that highdicom supports, or a damaged one


def _report(document: Dataset, *, copy: bool) -> Any:
    """Return highdicom's view of a document; without a copy the data set itself is converted to its
    classes."""
    from highdicom.sr import Comprehensive3DSR, ComprehensiveSR, EnhancedSR

    classes: dict[str, Any] = {
        EnhancedSRStorage: EnhancedSR,
        ComprehensiveSRStorage: ComprehensiveSR,
        Comprehensive3DSRStorage: Comprehensive3DSR,
    }
    return classes[document.SOPClassUID].from_dataset(document, copy=copy)


def _groups(report: Any) -> Iterator[Any]:
    content = report.content
    for name in (
        "get_image_measurement_groups",
        "get_planar_roi_measurement_groups",
        "get_volumetric_roi_measurement_groups",
    ):
        yield from getattr(content, name, list)()


def groups_of(report: Any) -> Iterator[Any]:
    """Return the measurement groups of a report that highdicom has parsed, as its content items.

    `get_image_measurement_groups` parses and copies each group again, and searches it once for each question:
    that took three quarters of the time for reading a document back. A test compares this walk with it.
    """
    for container in report.content[0].ContentSequence:
        if code_key(container.name) == code_key(codes.IMAGING_MEASUREMENTS):
            yield from getattr(container, "ContentSequence", ())


def statement(group: Any) -> Statement:
    """Return the statements of one measurement group.

    Raises:
        ValueError: it is not a TID 1501 group, has not one finding site, or answers a question twice.
    """
    if code_key(group.name) != code_key(codes.MEASUREMENT_GROUP) or group.template_id not in (None, "1501"):
        raise ValueError("an item of Imaging Measurements is not a TID 1501 group")
    sites, findings, answers = [], [], []
    for item in _coded(group):
        name, relationship = code_key(item.name), item.RelationshipType
        if relationship == "HAS CONCEPT MOD" and name == code_key(codes.FINDING_SITE):
            sites.append(item)
        elif relationship == "CONTAINS" and name == code_key(codes.FINDING):
            findings.append(code_key(item.value))
        elif relationship == "CONTAINS":
            answers.append((name, code_key(item.value)))
    (site,) = sites
    modifiers = [(code_key(one.name), code_key(one.value)) for one in _coded(site)]
    within = dict(modifiers)
    # A later value would hide an earlier one: a right side after a left one, or two answers to one question.
    asked = {name for name, _ in answers}
    if len(findings) > 1 or len(asked) != len(answers) or len(within) != len(modifiers):
        raise ValueError("a measurement group states something twice")
    return Statement(
        finding=findings[0] if findings else None,
        site=code_key(site.value),
        side=within.get(code_key(codes.LATERALITY)),
        place=within.get(code_key(codes.TOPOGRAPHICAL_MODIFIER)),
        answers=frozenset(answers),
    )


def _coded(item: Any) -> list[Any]:
    return [row for row in getattr(item, "ContentSequence", ()) if row.ValueType == "CODE"]


def _meant(finding: Finding, terms: Terminology) -> Statement:
    term = terms.term(finding)
    answers = {(code_key(term.code), code_key(codes.PRESENCE[finding.presence]))}
    if finding.severity is not None and finding.presence is not Presence.ABSENT:
        answers.add((code_key(codes.SEVERITY), code_key(codes.GRADE[finding.severity])))
    if finding.change is not None:
        answers.add((code_key(codes.DESCRIPTION_OF_CHANGE), code_key(codes.CHANGE[finding.change])))
    present = finding.presence is Presence.PRESENT and term.key != NO_FINDING
    return Statement(
        finding=code_key(term.code) if present else None,
        site=code_key(term.site),
        side=None if finding.laterality is None else code_key(codes.SIDE[finding.laterality]),
        place=None if finding.location is None else code_key(terms.location(finding.location)),
        answers=frozenset(answers),
    )


def _line(group: Any) -> str:
    """One group in words; empty if it holds only references."""
    finding, sites = group.finding_type, group.finding_sites
    subject = [] if finding is None else [finding.meaning]
    subject += [site.value.meaning for site in sites]
    stated = [f"{one.name.meaning} {one.value.meaning}" for one in group.get_qualitative_evaluations()]
    stated += [f"{one.name.meaning} {one.value:g} {one.unit.value}" for one in group.get_measurements()]
    return ": ".join(part for part in (", ".join(subject), ", ".join(stated)) if part)

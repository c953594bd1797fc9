"""Reading findings back from document A, and from other TID 1500 documents that use our codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr import codes, tree
from dicom_sr.outline import outline
from dicom_sr.terminology import CodeKey, Terminology, code_key, default_terminology
from model.findings.types import Finding, Laterality

__all__ = ["outline", "read_findings"]

_Value = TypeVar("_Value")


def _reversed(*tables: Mapping[_Value, Code]) -> dict[CodeKey, _Value]:
    return {code_key(code): value for table in tables for value, code in table.items()}


_PRESENCE: Final = _reversed(codes.PRESENCE, codes.EQUIVALENT_PRESENCE)
_SIDE: Final = _reversed(codes.SIDE)
_GRADE: Final = _reversed(codes.GRADE)
_CHANGE: Final = _reversed(codes.CHANGE)


def read_findings(document: Dataset, terminology: Terminology | None = None) -> tuple[Finding, ...]:
    """The findings that the measurement groups of a document state, in their order.

    A group whose question or answer is not in the terminology is skipped; a document without such groups
    gives an empty tuple.

    Raises:
        NotStructuredReportError: the object has no content tree.
    """
    tree.require_document(document)
    terms = terminology or default_terminology()
    groups = (
        item for item in tree.descendants(document) if tree.name(item) == code_key(codes.MEASUREMENT_GROUP)
    )
    findings = (_finding(group, terms) for group in groups)
    return tuple(finding for finding in findings if finding is not None)


def _finding(group: Dataset, terms: Terminology) -> Finding | None:
    rows = {tree.name(item): item for item in tree.children(group)}
    answered = [
        (concepts, _PRESENCE[tree.value(item)])
        for name, item in rows.items()
        if (concepts := terms.concepts_by_code.get(name)) and tree.value(item) in _PRESENCE
    ]
    if not answered:
        return None
    concepts, presence = answered[0]
    laterality, location = _place(rows.get(code_key(codes.FINDING_SITE)), terms)
    comment = rows.get(code_key(codes.COMMENT))
    return Finding(
        concept=_meant(concepts, rows.get(code_key(codes.TRACKING_IDENTIFIER))),
        presence=presence,
        laterality=laterality,
        location=location,
        severity=_answer(rows, codes.SEVERITY, _GRADE),
        change=_answer(rows, codes.DESCRIPTION_OF_CHANGE, _CHANGE),
        evidence="" if comment is None else tree.words(comment, "TextValue"),
    )


def _meant(concepts: tuple[str, ...], tracking: Dataset | None) -> str:
    """Which concept is meant if several share a code: the one that the tracking identifier names."""
    identifier = "" if tracking is None else tree.words(tracking, "TextValue")
    # `mass, left, upper_zone`; documents of earlier versions have `mass-1`.
    named = (identifier.partition(",")[0], identifier.rpartition("-")[0])
    return next((one for one in named if one in concepts), concepts[0])


def _answer(
    rows: Mapping[CodeKey, Dataset], question: Code, answers: Mapping[CodeKey, _Value]
) -> _Value | None:
    item = rows.get(code_key(question))
    return None if item is None else answers.get(tree.value(item))


def _place(site: Dataset | None, terms: Terminology) -> tuple[Laterality | None, str | None]:
    if site is None:
        return None, None
    modifiers = {tree.name(item): tree.value(item) for item in tree.children(site)}
    return (
        _SIDE.get(modifiers.get(code_key(codes.LATERALITY), tree.NO_CODE)),
        terms.locations_by_code.get(modifiers.get(code_key(codes.TOPOGRAPHICAL_MODIFIER), tree.NO_CODE)),
    )

"""Contradictions within a report: present and absent, left and right, abnormal and "no abnormality"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from model.findings.types import Change, Finding, Laterality, Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary

Kind = Literal["presence", "laterality", "severity", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two statements that cannot both be true; `text` explains this to a radiologist."""

    kind: Kind
    concept: str
    first: Finding
    second: Finding
    text: str


def contradictions(
    findings: Iterable[Finding], vocabulary: Vocabulary | None = None
) -> tuple[Contradiction, ...]:
    """Every pair of findings of one report that contradict each other.

    Present against absent counts if the sides can be the same. A finding that is present only on one side in
    one sentence and only on the other side in another is reported as left against right only if both claim
    the same place and no statement names both sides.
    """
    vocabulary = vocabulary or load_vocabulary()
    listed = tuple(findings)
    found: list[Contradiction] = []
    for first, second in combinations(listed, 2):
        if first.concept == second.concept:
            found += _of_one_concept(first, second, vocabulary)
    found += _against_summary(listed, vocabulary)
    return tuple(found)


def _of_one_concept(first: Finding, second: Finding, vocabulary: Vocabulary) -> list[Contradiction]:
    name = _name(first.concept, vocabulary)
    if {first.presence, second.presence} == {Presence.PRESENT, Presence.ABSENT}:
        absent = first if first.presence is Presence.ABSENT else second
        broad = first.concept in vocabulary.concepts and vocabulary.concepts[first.concept].broad
        if (
            broad
            or not _sides_meet(first, second)
            or absent.change is Change.RESOLVED
            or _elsewhere(first, second)
        ):
            return []
        text = f"The draft says both that {name} is present and that it is absent."
        return [_contradiction("presence", first, second, text)]
    if first.presence is not Presence.PRESENT or second.presence is not Presence.PRESENT:
        return []
    if {first.laterality, second.laterality} == {Laterality.LEFT, Laterality.RIGHT} and _same_but_side(
        first, second
    ):
        text = f"The draft gives {name} once on the left and once on the right."
        return [_contradiction("laterality", first, second, text)]
    if _differ_in_severity(first, second):
        text = f"The draft grades the same {name} as {first.severity} and as {second.severity}."
        return [_contradiction("severity", first, second, text)]
    return []


def _against_summary(findings: Sequence[Finding], vocabulary: Vocabulary) -> list[Contradiction]:
    normal = next((f for f in findings if f.concept == "no_finding" and f.presence is Presence.PRESENT), None)
    if normal is None:
        return []
    return [
        _contradiction(
            "summary",
            finding,
            normal,
            f"The draft states {_name(finding.concept, vocabulary)}, and also no acute abnormality.",
        )
        for finding in findings
        if finding.presence is Presence.PRESENT
        and finding.concept in vocabulary.concepts
        and vocabulary.concepts[finding.concept].acute
        and finding.change is not Change.UNCHANGED
    ]


def _contradiction(kind: Kind, first: Finding, second: Finding, text: str) -> Contradiction:
    return Contradiction(kind=kind, concept=first.concept, first=first, second=second, text=text)


def _name(concept: str, vocabulary: Vocabulary) -> str:
    known = vocabulary.concepts.get(concept)
    return known.name if known is not None else concept.replace("_", " ")


def _sides_meet(first: Finding, second: Finding) -> bool:
    sides = {first.laterality, second.laterality}
    return sides != {Laterality.LEFT, Laterality.RIGHT}


def _elsewhere(first: Finding, second: Finding) -> bool:
    return first.location is not None and second.location is not None and first.location != second.location


def _same_but_side(first: Finding, second: Finding) -> bool:
    """Same place, grade and change, stated in different sentences: one of the sides is a slip."""
    return (
        first.evidence != second.evidence
        and (first.location, first.severity, first.change)
        == (second.location, second.severity, second.change)
        and (first.location is not None or first.severity is not None)
    )


def _differ_in_severity(first: Finding, second: Finding) -> bool:
    return (
        None not in (first.severity, second.severity)
        and first.severity != second.severity
        and (first.laterality, first.location) == (second.laterality, second.location)
    )

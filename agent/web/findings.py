"""The findings of a report as a table: positive, negative, and what the report does not mention. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.findings.consistency import contradictions
from model.findings.types import Finding, Presence
from model.findings.vocabulary import load_vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One finding in words; `evidence` is the sentence that states it."""

    concept: str
    name: str
    presence: str
    attributes: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All concepts of the vocabulary, each in one of three groups."""

    positive: Sequence[Line]
    negative: Sequence[Line]
    not_mentioned: Sequence[str]
    contradictions: Sequence[str]
    notices: Sequence[str] = ()


def table_of(findings: Sequence[Finding], notices: Sequence[str] = ()) -> Table:
    """Return the table of a report's findings; notices: about passages that could not be read."""
    vocabulary = load_vocabulary()
    mentioned = {finding.concept for finding in findings}
    lines = [_line(finding) for finding in findings]
    return Table(
        positive=[line for line in lines if line.presence != Presence.ABSENT.value],
        negative=[line for line in lines if line.presence == Presence.ABSENT.value],
        not_mentioned=[one.name for key, one in vocabulary.concepts.items() if key not in mentioned],
        contradictions=[one.text for one in contradictions(findings)],
        notices=notices,
    )


def chips(findings: Sequence[Finding]) -> list[Line]:
    """Return the positive findings of a draft for its row in the list, the certain ones first."""
    positive = [_line(one) for one in findings if one.presence is not Presence.ABSENT]
    positive = [line for line in positive if line.concept != "no_finding"]
    return sorted(positive, key=lambda line: line.presence != Presence.PRESENT.value)


def _line(finding: Finding) -> Line:
    vocabulary = load_vocabulary()
    concept = vocabulary.concepts.get(finding.concept)
    location = vocabulary.locations.get(finding.location or "")
    place = location.name if location is not None else (finding.location or "").replace("_", " ")
    attributes = (
        str(finding.laterality or ""),
        place,
        str(finding.severity or ""),
        str(finding.change or ""),
    )
    return Line(
        concept=finding.concept,
        name=concept.name if concept is not None else finding.concept.replace("_", " "),
        presence=finding.presence.value,
        attributes=", ".join(part for part in attributes if part),
        evidence=finding.evidence,
    )

"""What the draft and the signed report of a study each say about every concept. Pure.

A concept that a report does not mention counts as not present: radiologists name what they see, and few name
what they do not see. An indeterminate statement is neither, so it is excluded from the accuracy measures and
counted separately. The concept `no_finding` is left out: it summarises the others, and a report that lists
normal regions implies it without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from model.findings.extract import stronger
from model.findings.types import Finding, Laterality, Presence, Severity
from model.findings.wording import NO_FINDING

_SIDES = {Laterality.LEFT: "L", Laterality.RIGHT: "R", Laterality.BILATERAL: "LR"}
_GRADES = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptReading:
    """What one text says about one concept.

    presence: None if the concept is not mentioned. sides: the sides, L and R, in the statements that it is
    present; empty if none is stated. severity: the highest grade in them.
    """

    presence: Presence | None = None
    sides: str = ""
    severity: Severity | None = None

    @property
    def positive(self) -> bool | None:
        """Whether the concept counts as present; None for an indeterminate statement."""
        if self.presence is Presence.INDETERMINATE:
            return None
        return self.presence is Presence.PRESENT


NOT_MENTIONED = ConceptReading()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptPair:
    """One concept in a draft and in the signed report of the same study."""

    drafted: ConceptReading
    signed: ConceptReading

    @property
    def disagrees(self) -> bool:
        """Whether one says present and the other does not, or both name different sides."""
        drafted, signed = self.drafted.positive, self.signed.positive
        if drafted is None or signed is None:
            return False
        if drafted != signed:
            return True
        return drafted and bool(self.drafted.sides and self.signed.sides) and not self.same_side

    @property
    def same_side(self) -> bool:
        """Whether both name the same sides."""
        return self.drafted.sides == self.signed.sides


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStudy:
    """One study's draft and its signed report.

    key: the comparison's row. site, device, model: names to group by. at: when the draft was made.
    """

    key: int
    site: str
    device: str
    model: str
    at: datetime
    pairs: Mapping[str, ConceptPair]

    @property
    def month(self) -> str:
        """The draft's month: YYYY-MM."""
        return f"{self.at:%Y-%m}"

    @property
    def disagreements(self) -> tuple[str, ...]:
        """The concepts in which draft and signed report disagree, in alphabetical order."""
        return tuple(sorted(concept for concept, pair in self.pairs.items() if pair.disagrees))


def concept_readings(findings: Iterable[Finding]) -> dict[str, ConceptReading]:
    """Return what a text's findings say about each concept that it mentions; the strongest statement
    counts.
    """
    by_concept: dict[str, list[Finding]] = {}
    for finding in findings:
        by_concept.setdefault(finding.concept, []).append(finding)
    return {concept: _reading(stated) for concept, stated in by_concept.items()}


def _reading(stated: Sequence[Finding]) -> ConceptReading:
    presence: Presence | None = None
    for finding in stated:
        presence = stronger(presence, finding.presence)
    meant = [one for one in stated if one.presence is presence]
    sides = {letter for one in meant if one.laterality for letter in _SIDES[one.laterality]}
    grades = [one.severity for one in meant if one.severity is not None]
    return ConceptReading(
        presence=presence,
        sides="".join(sorted(sides)),
        severity=max(grades, key=_GRADES.index, default=None),
    )


def paired(drafted: Iterable[Finding], signed: Iterable[Finding]) -> dict[str, ConceptPair]:
    """Return the pair of readings of every concept that either text mentions."""
    one, other = concept_readings(drafted), concept_readings(signed)
    return {
        concept: ConceptPair(
            drafted=one.get(concept, NOT_MENTIONED), signed=other.get(concept, NOT_MENTIONED)
        )
        for concept in sorted({*one, *other} - {NO_FINDING})
    }


def plain(pairs: Mapping[str, ConceptPair]) -> dict[str, list[list[str]]]:
    """Return pairs as plain values for a JSON column."""
    return {concept: [_plain(pair.drafted), _plain(pair.signed)] for concept, pair in pairs.items()}


def _plain(reading: ConceptReading) -> list[str]:
    return [reading.presence or "", reading.sides, reading.severity or ""]


def pairs_of(kept: Mapping[str, Any]) -> dict[str, ConceptPair]:
    """Return the pairs from the plain values that `plain` made."""
    return {
        concept: ConceptPair(drafted=_reading_of(drafted), signed=_reading_of(signed))
        for concept, (drafted, signed) in kept.items()
    }


def _reading_of(kept: Sequence[str]) -> ConceptReading:
    presence, sides, severity = kept
    return ConceptReading(
        presence=Presence(presence) if presence else None,
        sides=sides,
        severity=Severity(severity) if severity else None,
    )

"""Merging what several sentences say of one concept, without losing left and right.

Statements of one concept and presence whose attributes do not disagree are one finding with the most
specific attributes; the evidence is the sentence that says most. Hints (a blunted angle) and policy
negatives ("the lungs are clear") give way to any plain statement about the same concept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.findings.types import Finding, Presence
from model.findings.vocabulary import Vocabulary

_ATTRIBUTES = ("laterality", "location", "severity", "change")


@dataclass(frozen=True, slots=True)
class Read:
    """A finding as one sentence states it; `weak` if it is only a hint or follows from a policy."""

    finding: Finding
    weak: bool = False


def merged(found: Sequence[Read], vocabulary: Vocabulary) -> tuple[Finding, ...]:
    """The findings of a report, in the order of their first statement."""
    plain: dict[str, set[Presence]] = {}
    for read in found:
        if not read.weak:
            plain.setdefault(read.finding.concept, set()).add(read.finding.presence)
    # A hint still adds its side to a plain statement that agrees: "blunted on the right, ?effusion".
    kept = [
        read.finding
        for read in found
        if not read.weak or read.finding.presence in plain.get(read.finding.concept, {read.finding.presence})
    ]
    kept = _policy_gives_way(kept, found, vocabulary)
    result: list[Finding] = []
    for finding in kept:
        for index, other in enumerate(result):
            if _agree(other, finding):
                result[index] = _union(other, finding)
                break
        else:
            result.append(finding)
    return tuple(dict.fromkeys(result))


def _policy_gives_way(
    kept: Sequence[Finding], found: Sequence[Read], vocabulary: Vocabulary
) -> list[Finding]:
    """A policy negative says nothing if the report states the class, or a kind of it, as present."""
    weak = {id(read.finding) for read in found if read.weak}
    stated = {
        vocabulary.concepts[read.finding.concept].chexpert
        for read in found
        if read.finding.presence is not Presence.ABSENT
    }
    return [
        finding
        for finding in kept
        if not (
            id(finding) in weak
            and finding.presence is Presence.ABSENT
            and vocabulary.concepts[finding.concept].chexpert in stated - {None}
        )
    ]


def _agree(first: Finding, second: Finding) -> bool:
    if first.concept != second.concept or first.presence is not second.presence:
        return False
    pairs = ((getattr(first, name), getattr(second, name)) for name in _ATTRIBUTES)
    return all(a is None or b is None or a == b for a, b in pairs)


def _union(first: Finding, second: Finding) -> Finding:
    values = {
        name: getattr(first, name) if getattr(first, name) is not None else getattr(second, name)
        for name in _ATTRIBUTES
    }
    said = [sum(getattr(f, name) is not None for name in _ATTRIBUTES) for f in (first, second)]
    evidence = second.evidence if said[1] > said[0] else first.evidence
    return replace(first, **values, evidence=evidence)

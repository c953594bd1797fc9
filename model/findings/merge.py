"""Merges what several sentences say about one concept, without losing left and right.

Statements of one concept and presence whose attributes do not disagree are one finding with the most
specific attributes; the evidence is the most detailed sentence. Hints (a blunted angle) and policy
negatives ("the lungs are clear") give way to any plain statement about the same concept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Explains a reading: the words, the status, and the rule, cue and scope that decided."""

    concept: str = ""
    mention: str
    status: str
    rule: str
    cue: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A mention as one sentence states it: a finding, or `None` for one that states nothing.

    `weak` if it is only a hint or follows from a policy.
    """

    finding: Finding | None
    weak: bool = False
    why: Why | None = None


def merged(found: Sequence[Read], vocabulary: Vocabulary) -> tuple[Finding, ...]:
    """The findings of a report, in the order of their first statement."""
    stated = [(read.finding, read.weak) for read in found if read.finding is not None]
    plain: dict[str, set[Presence]] = {}
    for finding, weak in stated:
        if not weak:
            plain.setdefault(finding.concept, set()).add(finding.presence)
    # A hint still adds its side to a plain statement that agrees: "blunted on the right, ?effusion".
    kept = [
        (finding, weak)
        for finding, weak in stated
        if not weak or finding.presence in plain.get(finding.concept, {finding.presence})
    ]
    result: list[Finding] = []
    for finding in _policy_gives_way(kept, vocabulary):
        for index, other in enumerate(result):
            if _agree(other, finding):
                result[index] = _union(other, finding)
                break
        else:
            result.append(finding)
    return tuple(dict.fromkeys(result))


def _policy_gives_way(kept: Sequence[tuple[Finding, bool]], vocabulary: Vocabulary) -> list[Finding]:
    """A policy negative is ignored if the report states the class, or a kind of it, as present there."""
    stated = [
        (vocabulary.concepts[finding.concept].chexpert, finding.laterality)
        for finding, _ in kept
        if finding.presence is not Presence.ABSENT
    ]

    def gives_way(finding: Finding) -> bool:
        own = vocabulary.concepts[finding.concept].chexpert
        return own is not None and any(
            own == other and (None in (side, finding.laterality) or side == finding.laterality)
            for other, side in stated
        )

    return [
        finding
        for finding, weak in kept
        if not (weak and finding.presence is Presence.ABSENT and gives_way(finding))
    ]


def _agree(first: Finding, second: Finding) -> bool:
    if first.concept != second.concept or first.presence is not second.presence:
        return False
    return all(a is None or b is None or a == b for a, b in zip(_of(first), _of(second), strict=True))


def _union(first: Finding, second: Finding) -> Finding:
    said = [_of(finding).count(None) for finding in (first, second)]
    source = second if said[1] < said[0] else first
    return Finding(
        concept=first.concept,
        presence=first.presence,
        laterality=second.laterality if first.laterality is None else first.laterality,
        location=second.location if first.location is None else first.location,
        severity=second.severity if first.severity is None else first.severity,
        change=second.change if first.change is None else first.change,
        evidence=source.evidence,
        span=source.span,
    )


def _of(finding: Finding) -> tuple[Laterality | None, str | None, Severity | None, Change | None]:
    return finding.laterality, finding.location, finding.severity, finding.change

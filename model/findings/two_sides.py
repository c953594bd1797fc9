"""Two findings for two sides that one phrase tells apart.

"Small left and moderate right effusions" have different grades; "unchanged left, resolved right" is present
on one side only, and never one finding of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from model.findings.merge import Read
from model.findings.spans import Marked
from model.findings.territory import Territory
from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Concept


def by_side(marked: Marked, area: Territory, concept: Concept, read: Read) -> list[Read]:
    """Two findings for "small left and moderate right effusions", and for sides of which the sentence tells
    opposite things, which are never one finding of both; else the one.
    """
    finding = read.finding
    if finding is not None and finding.laterality is Laterality.BILATERAL:
        opposed = _opposed_sides(marked, area) or _side_of_denial(marked, area, finding)
        if opposed:
            return [replace(read, finding=_told_of(finding, side, denied)) for side, denied in opposed]
    pairs = _sides_with_severities(marked, area) if concept.sided else ()
    if not pairs or finding is None or finding.presence is Presence.ABSENT:
        return [read]
    return [replace(read, finding=replace(finding, laterality=side, severity=grade)) for side, grade in pairs]


def _told_of(finding: Finding, side: Laterality, denied: bool) -> Finding:
    """What a sentence tells of one of two sides."""
    gone = finding.change if finding.change is Change.RESOLVED and denied else None
    there = Presence.PRESENT if finding.presence is Presence.ABSENT else finding.presence
    presence = Presence.ABSENT if denied else there
    return replace(finding, laterality=side, presence=presence, severity=None, change=gone)


def _sides_with_severities(marked: Marked, territory: Territory) -> tuple[tuple[Laterality, Severity], ...]:
    """Each side with its severity in "small left and moderate right"; empty if there is no such phrase."""
    if len(marked.sides) < 2 or len(marked.severities) < 2:
        return ()
    pairs = []
    for severity in (s for s in marked.severities if territory.left <= s.start < territory.mention.start):
        side = next((s for s in marked.sides if s.start in (severity.end, severity.end + 1)), None)
        if side is not None and side.key in ("left", "right") and side.end <= territory.mention.start:
            pairs.append((Laterality(side.key), Severity(severity.key)))
    return tuple(pairs) if len({side for side, _ in pairs}) == 2 else ()


def _opposed_sides(marked: Marked, territory: Territory) -> tuple[tuple[Laterality, bool], ...]:
    """Each side with whether the finding is denied there, if a sentence tells opposite things of both."""
    sides = [s for s in marked.sides if s.key in ("left", "right") and territory.mention.end <= s.start]
    if len(sides) != 2 or sides[0].key == sides[1].key or sides[1].start >= territory.right:
        return ()
    first, second = sides
    words = marked.words
    end = next((i for i in range(second.end, len(words)) if words[i] in (";", ".")), len(words))
    stretches = ((first.end, second.start), (second.end, end))
    gone = [c for c in marked.cues if c.kind == "after:negated"]
    denied = [any(a <= c.start < b for c in gone) for a, b in stretches]
    told = [any(a <= c.start < b for c in (*gone, *marked.changes)) for a, b in stretches]
    if denied[0] == denied[1] or not all(told):
        return ()
    return tuple((Laterality(s.key), gone_there) for s, gone_there in zip(sides, denied, strict=True))


def _side_of_denial(
    marked: Marked, territory: Territory, finding: Finding
) -> tuple[tuple[Laterality, bool], ...]:
    """Both sides for "bilateral effusions have resolved on the right": the other side still has its own."""
    sides = [s for s in marked.sides if territory.mention.end <= s.start < territory.right]
    if finding.presence is not Presence.ABSENT or len(sides) != 1 or sides[0].key not in ("left", "right"):
        return ()
    side, pack = sides[0], marked.pack.words
    begin = side.start
    while begin and marked.words[begin - 1] in pack["at"] | pack["articles"]:
        begin -= 1
    cues = [c for c in marked.cues if c.kind == "after:negated" and c.end == begin]
    if begin == side.start or not any(c.start >= territory.mention.end for c in cues):
        return ()
    denied = Laterality(side.key)
    return ((denied, True), (_OTHER[denied], False))


def without_denied_side(reads: Sequence[Read]) -> list[Read]:
    """What a sentence says of both sides and then denies on one is on the other: "bilateral effusions have
    decreased on the left and resolved on the right".
    """
    denied: dict[str, set[Laterality]] = {}
    for read in reads:
        finding = read.finding
        if finding is not None and finding.presence is Presence.ABSENT and finding.laterality in _OTHER:
            denied.setdefault(finding.concept, set()).add(finding.laterality)
    return [_on_other_side(read, denied) for read in reads]


_OTHER = {Laterality.LEFT: Laterality.RIGHT, Laterality.RIGHT: Laterality.LEFT}


def _on_other_side(read: Read, denied: Mapping[str, set[Laterality]]) -> Read:
    finding = read.finding
    if finding is None or finding.laterality is not Laterality.BILATERAL:
        return read
    sides = denied.get(finding.concept, set())
    if finding.presence is Presence.ABSENT or len(sides) != 1:
        return read
    return replace(read, finding=replace(finding, laterality=_OTHER[next(iter(sides))]))

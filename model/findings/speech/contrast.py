"""Sides that are named to be excluded: "on the left, not the right", "left (NOT right)"."""

from __future__ import annotations

from model.findings.spans import Marked
from model.findings.text.tokens import Token

_LIGHT = frozenset(("the", "on", "in", "at", ","))
_BEHIND = frozenset((",", ".", ";", ")", "as", "side", "("))


def without_excluded_side(marked: Marked) -> list[Token] | None:
    """The tokens without a side that is named only to be excluded; None if there is none."""
    negations = marked.pack.words["not"]
    if len(marked.sides) < 2:
        return None
    sides = [s for s in marked.sides if s.key in ("left", "right")]
    if len(sides) < 2 or negations.isdisjoint(marked.bag):
        return None
    for side in sides:
        start = side.start
        while start and marked.words[start - 1] in _LIGHT:
            start -= 1
        other = any(s.key != side.key for s in sides)
        behind = marked.words[side.end] if side.end < len(marked.words) else "."
        denied = start > 0 and marked.words[start - 1] in negations
        if denied and other and (behind in _BEHIND or _stands_beside(marked, start - 1)):
            begin = start - 1
            if begin and marked.words[begin - 1] in marked.pack.words["and"] | marked.pack.words["walls"]:
                begin -= 1
            return [*marked.tokens[:begin], *marked.tokens[side.end :]]
    return None


def _stands_beside(marked: Marked, negation: int) -> bool:
    """ "Left but not right effusion": the other side stands before the denial, the finding behind both."""
    at = negation
    while at and marked.words[at - 1] in marked.pack.words["walls"] | marked.pack.words["and"] | {","}:
        at -= 1
    return any(s.end == at and s.key in ("left", "right") for s in marked.sides)

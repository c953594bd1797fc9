"""Sides that are named to be excluded: "on the left, not the right", "left (NOT right)"."""

from __future__ import annotations

from model.findings.spans import Marked
from model.findings.text.tokens import Token

_LIGHT = frozenset(("the", "on", "in", "at", ","))
_BEHIND = frozenset((",", ".", ";", ")", "as", "side", "("))


def without_excluded_side(marked: Marked) -> list[Token] | None:
    """The tokens without a side that is named only to be excluded; None if there is none."""
    negations = marked.pack.words["not"]
    sides = [s for s in marked.sides if s.key in ("left", "right")]
    if len(sides) < 2 or negations.isdisjoint(marked.words):
        return None
    for side in sides:
        start = side.start
        while start and marked.words[start - 1] in _LIGHT:
            start -= 1
        other = any(s.key != side.key for s in sides)
        behind = marked.words[side.end] if side.end < len(marked.words) else "."
        if start and marked.words[start - 1] in negations and other and behind in _BEHIND:
            begin = start - 1
            if begin and marked.words[begin - 1] in marked.pack.words["and"]:
                begin -= 1
            return [*marked.tokens[:begin], *marked.tokens[side.end :]]
    return None

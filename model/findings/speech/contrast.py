"""Sides that do not belong to the finding: "on the left, not the right"; "now right, previously on the
left".
"""

from __future__ import annotations

from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token

_LIGHT = frozenset(("the", "on", "in", "at", ","))
_BEHIND = frozenset((",", ".", "。", ";", ")", "as", "side", "("))


def without_excluded_side(marked: Marked) -> list[Token] | None:
    """The tokens without a side that is mentioned only to be excluded; None if there is none."""
    negations = marked.pack.words["not"]
    if len(marked.sides) < 2:
        return None
    sides = [s for s in marked.sides if s.key in ("left", "right")]
    if len(sides) < 2 or negations.isdisjoint(marked.bag):
        return None
    light = _LIGHT | marked.pack.words["at"] | marked.pack.words["articles"]
    for side in sides:
        start = side.start
        while start and marked.words[start - 1] in light:
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


def without_former_side(marked: Marked) -> list[Token] | None:
    """The tokens without the side on which a finding used to be; None if they name none."""
    sides = [s for s in marked.sides if s.key in ("left", "right")]
    if len({s.key for s in sides}) < 2:
        return None
    for side in sides:
        begin = _begin_of_former(marked, side)
        if begin >= 0:
            to = (
                marked.words[begin] == "from"
            )  # "from the left to the right": the side after "to" is the finding's
            return [*marked.tokens[:begin], *marked.tokens[side.end + to :]]
    return None


def _begin_of_former(marked: Marked, side: Span) -> int:
    """Where "previously on the left" begins, or "from the left to …"; -1 for neither."""
    words, pack = marked.words, marked.pack.words
    at = side.start - 1 - (words[side.start - 1 : side.start] == ("the",))
    if at <= 0:
        return -1
    moved_on = words[side.end : side.end + 1]
    if words[at] == "from" and moved_on and moved_on[0] in pack["towards"]:
        return at
    if words[at] not in pack["at"]:
        return -1
    while at and words[at - 1] in pack["seen"] | pack["verbs"] | {"located", "lying"}:
        at -= 1
    return at - 1 if at and words[at - 1] in pack["former"] else -1


def _stands_beside(marked: Marked, negation: int) -> bool:
    """ "Left but not right effusion": the other side precedes the denial, the finding after both."""
    at = negation
    while at and marked.words[at - 1] in marked.pack.words["walls"] | marked.pack.words["and"] | {","}:
        at -= 1
    return any(s.end == at and s.key in ("left", "right") for s in marked.sides)

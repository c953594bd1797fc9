"""Decides which words of a sentence belong to which mention.

A mention owns the words between its neighbours: on the left from the conjunction after the previous mention,
on the right up to the conjunction before the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.findings.spans import Marked, Span

PLACES_GO_ON = frozenset(("left", "right", "lower", "upper", "middle", "both"))


@dataclass(frozen=True, slots=True)
class Territory:
    """The words that belong to a mention: [left, mention.start) and [mention.end, right)."""

    mention: Span
    left: int
    right: int

    def holds(self, span: Span) -> bool:
        """Whether a span begins or ends in the mention's own words, and is not entirely inside the
        mention.
        """
        before = self.left <= span.start < self.mention.start
        return before or self.mention.end <= span.start < self.right


def territories(marked: Marked, mentions: Sequence[Span]) -> tuple[Territory, ...]:
    """Each mention with the words around it that are its own; mentions in order of the sentence."""
    ordered = sorted(mentions, key=lambda m: (m.start, m.end))
    if len(ordered) == 1:
        only = ordered[0]
        left, right = _left_edge(marked, None, only.start), _right_edge(marked, only.end, None)
        return (Territory(only, left, right),)
    found = []
    for index, mention in enumerate(ordered):
        previous = max((m.end for m in ordered[:index] if m.end <= mention.start), default=None)
        following = next((m.start for m in ordered[index + 1 :] if m.start >= mention.end), None)
        left = _left_edge(marked, previous, mention.start)
        right = _right_edge(marked, mention.end, following)
        found.append(Territory(mention, left, right))
    return tuple(found)


def joined(marked: Marked, first: Span, second: Span) -> bool:
    """Whether two mentions are coordinated directly: "effusion and atelectasis"."""
    gap = marked.words[first.end : second.start]
    if second.start < first.end or len(gap) > 4:
        return False
    words = marked.pack.words
    return not gap or (words["shares"].issuperset(gap) and gap[0] in words["joins"])


def joined_to_denial(marked: Marked, first: Span, second: Span) -> bool:
    """Whether a finding is followed by a denied one in its phrase: "effusion without pneumothorax"."""
    gap, words = marked.words[first.end : second.start], marked.pack.words
    return bool(gap) and gap[0] in words["joins"] - words["comma"] and words["none"].issuperset(gap[1:])


def _left_edge(marked: Marked, previous: int | None, start: int) -> int:
    words, joins = marked.words, marked.pack.words["joins"]
    begin = 0 if previous is None else previous
    for index in marked.walls:
        # "New since the prior is an effusion": the change applies to it.
        if begin <= index < start and not any(c.start < index < c.end for c in marked.changes):
            begin = index + 1
    if previous is None:
        return begin
    # "opacity at the left base may represent X": what precedes the hedge is the opacity's.
    hedges = [c.start for c in marked.cues if c.kind == "before:uncertain" and begin <= c.start < start]
    parts = [i for i in range(begin, start) if words[i] in joins]
    edge = parts[0] + 1 if parts else begin
    return max(edge, hedges[-1]) if hedges else edge


def _right_edge(marked: Marked, end: int, following: int | None) -> int:
    words, joins = marked.words, marked.pack.words["joins"]
    limit = len(words) if following is None else following
    for index in marked.walls:
        if end <= index < limit:
            return index
    if following is None:
        return limit
    for join in (i for i in range(end, limit) if words[i] in joins):
        after = words[join + 1] if join + 1 < len(words) else ""
        rest = words[join + 1 : limit]
        if after not in PLACES_GO_ON or joins.isdisjoint(rest):
            return join
    return limit

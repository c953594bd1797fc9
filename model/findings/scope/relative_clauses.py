"""Clauses that describe a finding between it and what is said of it: "the effusion that was seen is gone"."""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.located import covered
from model.findings.spans import Marked, Span


def spans_relative_clause(marked: Marked, index: int, cue: Span, mentions: Sequence[Span]) -> bool:
    """Whether only a clause about a finding stands between the finding and a cue.

    It begins behind the finding at `index`, names nothing else, and the cue has a verb of its own; in "an
    effusion that was not seen yesterday" the cue is in the clause.
    """
    pack, words = marked.pack.words, marked.words
    begin = index - (words[index - 1 : index] == (",",))
    past = pack["verbs"] | pack["were"]
    if words[index] not in pack["relatives"] or words[index + 1] not in past:
        return False
    placed = covered(marked.sides, marked.places)
    while begin and begin - 1 in placed:
        begin -= 1
    if not any(m.end == begin or (m.end < begin and _only(marked, m.end, begin, placed)) for m in mentions):
        return False
    if any(index < t.start < cue.start for t in marked.terms):
        return False
    joined = words[cue.start - 1] in pack["and"] and words[cue.start] in pack["verbs"]  # "… and has resolved"
    between = words[index + 2 : cue.start - joined]
    stops = pack["and"] | pack["or"] | pack["walls"] | pack["not"] | pack["none"]
    return bool(between) and stops.isdisjoint(between) and _has_verb(marked, cue)


def _only(marked: Marked, start: int, end: int, placed: frozenset[int]) -> bool:
    light = marked.pack.words["at"] | marked.pack.words["links"]
    return all(i in placed or marked.words[i] in light for i in range(start, end))


def _has_verb(marked: Marked, cue: Span) -> bool:
    """Whether a cue begins with a verb or follows one: "is gone", "has now resolved", "resolved"."""
    pack, words = marked.pack.words, marked.words
    near = words[max(0, cue.start - 2) : cue.start + 1]
    ended = any(c.key == "resolved" and c.end == cue.end for c in marked.changes)
    return ended or not ((pack["verbs"] | pack["pronouns"]) - {"there"}).isdisjoint(near)

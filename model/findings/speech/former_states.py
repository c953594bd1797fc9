"""States that are over: "the heart, previously enlarged, is now normal", "was enlarged, is now normal".

A state with a word of the past is no finding if the same sentence tells another state of the same part, which
then decides. Without another state it stays, for reports are also dictated in the past tense.
"""

from __future__ import annotations

from model.findings.located import covered
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token

_REACH = 4  # words before a state that tell its time


def without_former_state(marked: Marked) -> list[Token] | None:
    """The tokens without a former state; None if no state of the sentence is over."""
    pack = marked.pack.words
    if len(marked.states) < 2 or (pack["former"] | pack["were"]).isdisjoint(marked.bag):
        return None
    for state in marked.states:
        begin = _begin(marked, state)
        others = [s for s in marked.states if s.end <= state.start or state.end <= s.start]
        if begin >= 0 and any(_is_of_now(marked, state, begin, other) for other in others):
            return [*marked.tokens[:begin], *marked.tokens[_end(marked, state) :]]
    return None


def _begin(marked: Marked, state: Span) -> int:
    """Where the words begin that put a state into the past; -1 if none do."""
    pack, words = marked.pack.words, marked.words
    past = pack["former"] | pack["were"]
    graded = covered(marked.severities)
    at = state.start
    while at > 0 and (words[at - 1] in past or at - 1 in graded):
        at -= 1
    if past.isdisjoint(words[at : state.start]):
        return -1
    return at - (at > 0 and words[at - 1] in pack["relatives"])


def _end(marked: Marked, state: Span) -> int:
    """Where a former state ends, with the conjunction that leads to the present one."""
    pack, words = marked.pack.words, marked.words
    light = pack["former"] | pack["walls"] | pack["and"] | pack["comma"]
    at = state.end
    while at < len(words) and words[at] in light - {"."}:
        at += 1
    return at


def _is_of_now(marked: Marked, former: Span, begin: int, other: Span) -> bool:
    """Whether another state is of the same part and of this study."""
    pack, words = marked.pack.words, marked.words
    if _begin(marked, other) >= 0:
        return False
    first, second = (former, other) if former.start < other.start else (other, former)
    if "." in words[first.end : second.start] or _has_own_part(marked, other):
        return False
    own = (former.end, begin)  # "the previously enlarged heart": the part of the former state itself
    if any(first.end <= t.start and t.end <= second.start and t.start not in own for t in marked.terms):
        return False
    if not pack["former"].isdisjoint(words[begin : _end(marked, former)]):
        return True
    return not pack["present"].isdisjoint(words[max(0, other.start - _REACH) : other.start])


def _has_own_part(marked: Marked, state: Span) -> bool:
    """Whether a state is said of the part behind it: "the heart was enlarged; now normal mediastinum"."""
    parts = [t for t in marked.terms if t.kind == "structure"]
    gaps = [marked.words[state.end : t.start] for t in parts if t.start >= state.end]
    return any(not gap or (len(gap) == 1 and gap[0].isalpha()) for gap in gaps)

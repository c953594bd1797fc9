"""A speaker's corrections: "right, I mean left, effusion", "correction: left", "scratch that".

The corrected words are removed from the sentence, and their replacement is read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from model.findings.lexicon import Pack
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token, words_of

_SIGNS = frozenset((",", ":", ";", "-", "(", ")", "."))
_BEGINNING = 40  # characters of a sentence that are looked at
# These words are nouns as well: only between signs are they a correction.
_NEED_SIGN = frozenset(("correction", "sorry", "apologies"))


def repaired(marked: Marked) -> list[Token] | None:
    """The tokens without what the speaker retracted; None if nothing was."""
    cue = _cue(marked)
    if cue is None:
        return _swapped_side(marked)
    tokens = list(marked.tokens)
    start, end = cue
    while end < len(tokens) and tokens[end].word in _SIGNS | {"to", "that", "is"}:
        end += 1
    before = start
    while before and tokens[before - 1].word in _SIGNS:
        before -= 1
    if end >= len(tokens):  # "… scratch that.": the sentence is retracted
        return []
    if before == 0:
        return tokens[end:]
    for family in (marked.sides, marked.severities, marked.places, marked.changes):
        if any(span.start == end for span in family):
            replaced = [span for span in family if span.end <= before]
            if replaced:
                return [*tokens[: replaced[-1].start], *tokens[end:]]
    if any(term.start >= end for term in marked.terms):
        return tokens[end:]
    if (said := _said_of_the_same(marked, before, end)) is not None:
        return said
    return [*tokens[:before], *tokens[end:]]


def _said_of_the_same(marked: Marked, before: int, end: int) -> list[Token] | None:
    """The replacement of a statement, with the noun of that statement: "…, pardon me, there is a small
    one".
    """
    nouns = [t for t in marked.terms if t.end <= before and t.kind in ("synonym", "weak")]
    ones = [i for i in range(end, len(marked.words)) if marked.words[i] in marked.pack.words["one"]]
    if not nouns or not ones:
        return None
    noun = marked.tokens[nouns[-1].start : nouns[-1].end]
    return [*marked.tokens[end : ones[0]], *noun, *marked.tokens[ones[0] + 1 :]]


def takes_back(sentence: str, pack: Pack) -> str:
    """What the beginning of a sentence retracts from earlier ones: `all`, the `same` concept, or nothing."""
    if _openings(pack).match(sentence[:_BEGINNING].lower()) is None:
        return ""
    words = words_of(sentence[:_BEGINNING])
    for phrase in _phrases(pack):
        if tuple(words[: len(phrase)]) == phrase:
            return "all" if " ".join(phrase) in pack.words["retractions"] else "same"
    return ""


@lru_cache(maxsize=16)
def _phrases(pack: Pack) -> tuple[tuple[str, ...], ...]:
    listed = pack.words["repairs"] | pack.words["retractions"]
    return tuple(sorted((words_of(phrase) for phrase in listed), key=lambda w: (-len(w), w)))


@lru_cache(maxsize=16)
def _openings(pack: Pack) -> re.Pattern[str]:
    """A candidate for such a phrase: its words with any punctuation between them."""
    listed = [r"[\W_]*".join(map(re.escape, phrase)) for phrase in _phrases(pack)]
    return re.compile("|".join(listed) or r"(?!)")


@lru_cache(maxsize=16)
def _by_first_word(pack: Pack) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The phrases by their first word, the longest first."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in _phrases(pack):
        found[phrase[0]] = (*found.get(phrase[0], ()), phrase)
    return found


def _cue(marked: Marked) -> tuple[int, int] | None:
    by_first, words = _by_first_word(marked.pack), marked.words
    if by_first.keys().isdisjoint(marked.bag):
        return None
    for index, word in enumerate(words):
        for phrase in by_first.get(word, ()):
            if words[index : index + len(phrase)] != phrase:
                continue
            before = words[index - 1] if index else ","
            if phrase[0] not in _NEED_SIGN or before in _SIGNS:
                return index, index + len(phrase)
    return None


def _swapped_side(marked: Marked) -> list[Token] | None:
    """ "Right, no, left pleural effusion": a side, a denial, the other side."""
    if len(marked.sides) < 2:
        return None
    sides = [s for s in marked.sides if s.key in ("left", "right")]
    for first, second in pairwise(sides):
        between = [w for w in marked.words[first.end : second.start] if w != ","]
        if first.key != second.key and between == ["no"] and not _is_denied(marked, first):
            return [*marked.tokens[: first.start], *marked.tokens[second.start :]]
    return None


def _is_denied(marked: Marked, side: Span) -> bool:
    return any(c.kind == "before:negated" and side.start - 3 <= c.end <= side.start for c in marked.cues)

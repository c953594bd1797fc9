"""Sides that are compared with each other: "R>L effusions", "left effusion larger than right".

Both sides have the finding, and the comparative is no change since an earlier study: the two sides become
one word for both. "Bilateral effusions, larger on the right" adds nothing to the two sides.
"""

from __future__ import annotations

from model.findings.lexicon import Pack
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token, words_of

_SIGNS = frozenset((">", "<"))
_STOPS = frozenset((";", ".", ")"))


def with_compared_sides(marked: Marked) -> list[Token] | None:
    """The tokens with two compared sides as both; None if no side is compared with the other."""
    pack = marked.pack.words
    sides = [s for s in marked.sides if s.key in ("left", "right")]
    if pack["compares"].isdisjoint(marked.bag) and _SIGNS.isdisjoint(marked.bag):
        return None
    for second in sides:
        than = _than(marked, second)
        first = next((s for s in reversed(sides) if s.key != second.key and s.end <= than), None)
        compared = -1 if first is None else _comparative(marked, first, than)
        if first is not None and compared >= 0:
            return _as_both(marked, first, second, than, compared)
    return _without_larger_side(marked, sides)


def _than(marked: Marked, side: Span) -> int:
    """Where "than on the" begins before a side; -1 if the side is not compared with another."""
    pack, words = marked.pack.words, marked.words
    at, signs = side.start - 1, pack["than"] | _SIGNS
    while at > 0 and words[at] not in signs and words[at] in pack["at"] | pack["one"] | pack["articles"]:
        at -= 1
    return at if at > 0 and words[at] in signs else -1


def _comparative(marked: Marked, first: Span, than: int) -> int:
    """The place of the comparative; -1 if what is compared is not a finding on the first side."""
    pack, words = marked.pack.words, marked.words
    if words[than] in _SIGNS:
        return than
    begin = max((i + 1 for i in range(than) if words[i] in _STOPS), default=0)
    found = [i for i in range(begin, than) if words[i] in pack["compares"]]
    between = [t for t in marked.terms if first.start < t.start and t.end <= than]
    if not found or any(t.kind == "structure" for t in between):
        return -1  # "the right hilum is larger than the left"
    return found[-1]


def _as_both(marked: Marked, first: Span, second: Span, than: int, compared: int) -> list[Token] | None:
    """The tokens with the first side as both, without the comparative and the second side."""
    tokens = marked.tokens
    place = tokens[first.start]
    both = [Token(word, place.start, place.end) for word in _both_sides(marked.pack)]
    nouns = [t for t in marked.terms if first.start < t.start and first.end < t.end <= than]
    behind = min((first.end, *(t.start for t in nouns)))  # the words of a Chinese side may begin its noun
    between = [i for i in range(behind, than) if i != compared]
    end = second.end
    if nouns:  # "the right effusion is larger than the left one"
        repeated = next((t for t in marked.terms if t.start == end), None)
        if any(p.start <= end <= p.end for p in marked.places if p.start >= second.start):
            return None
        if repeated is not None:
            if repeated.key != nouns[-1].key:
                return (
                    None  # "right effusion larger than left pneumothorax" is no one's finding on both sides
                )
            end = repeated.end
        between = [i for i in between if i < nouns[-1].end]
    elif compared > first.end or compared == than:
        between = []  # "left slightly greater than right"
    start = first.start
    head = [t for i, t in enumerate(tokens[:start]) if i != compared]
    return [*head, *both, *(tokens[i] for i in between), *tokens[end:]]


def _both_sides(pack: Pack) -> tuple[str, ...]:
    return words_of(pack.laterality["bilateral"][0])


def _without_larger_side(marked: Marked, sides: list[Span]) -> list[Token] | None:
    """The tokens without ", larger on the right" behind a finding of both sides; it is the only side named,
    for "improved on the right, worse on the left" tells two changes.
    """
    pack, words = marked.pack.words, marked.words
    if len(sides) != 1 or not any(s.key == "bilateral" and s.end <= sides[0].start for s in marked.sides):
        return None
    side = sides[0]
    at = side.start - 1
    while at > 0 and words[at] in pack["at"] | pack["articles"]:
        at -= 1
    begin = at - 1
    while begin > 0 and any(s.start == begin for s in marked.severities):
        begin -= 1
    ends = side.end == len(words) or words[side.end] in pack["comma"] | _STOPS
    if begin <= 0 or words[at] not in pack["compares"] or words[begin] not in pack["comma"] or not ends:
        return None
    return [*marked.tokens[:begin], *marked.tokens[side.end :]]

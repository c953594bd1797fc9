"""Where things are in a marked sentence: the words that spans cover, and the phrases of a list of words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from model.findings.lexicon import Pack
from model.findings.spans import Marked, Span
from model.findings.text.tokens import words_of


def covered(*families: Sequence[Span]) -> frozenset[int]:
    """The places of all words that spans cover."""
    return frozenset(i for spans in families for span in spans for i in range(span.start, span.end))


def places_of(marked: Marked, name: str) -> list[tuple[int, int]]:
    """Where the phrases of a list of words begin and end, the longest phrases first."""
    found = []
    for words in phrases_of(marked.pack, name):
        if words[0] in marked.bag:
            starts = range(len(marked.words) - len(words) + 1)
            found += [(i, i + len(words)) for i in starts if marked.words[i : i + len(words)] == words]
    return found


@lru_cache(maxsize=256)
def phrases_of(pack: Pack, name: str) -> tuple[tuple[str, ...], ...]:
    """The phrases of a list of words, each in its words, the longest first."""
    return tuple(words_of(phrase) for phrase in sorted(pack.words[name], key=lambda p: (-len(p), p)))

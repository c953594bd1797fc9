"""Words of a sentence, each with its place: what phrases are matched on.

A token is a word, a number, a contracted negation ("n't") or a sign. Hyphens inside words part them, so that
"right-sided" and "right sided" are one. A Chinese character is a token of its own: Chinese writes no
spaces, and phrases find their own length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = re.compile(
    rf"[{_HAN}]"
    r"|\d{1,9}+(?:[.,]\d{1,9}+){0,4}+(?![^\W\d_])"
    r"|n't\b|'s\b"
    rf"|(?:(?!n't)[^\W_{_HAN}]){{1,60}}"
    r"|\?{1,40}|\.{2,60}|-{2,60}|\t{1,40}|[^\w\s]",
    re.IGNORECASE,
)
# Between the letters of one word these part it and say nothing: right-sided, x_ray.
_INNER = frozenset("-_")
_NOISE = re.compile(r"x{4,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """`word` in lower case, as it was written at [start, end) of the text that was cut."""

    word: str
    start: int
    end: int


def tokens_of(text: str, begin: int = 0, end: int | None = None) -> list[Token]:
    """The tokens of `text[begin:end]`, with places in `text`."""
    end = len(text) if end is None else end
    found: list[Token] = []
    for match in _TOKEN.finditer(text, begin, end):
        word = match[0]
        if word in _INNER and _is_inner(text, match.start()):
            continue
        if word[0] == "\t":
            word = "|"
        if word[0] == "x" and _NOISE.fullmatch(word):
            continue
        found.append(Token(_sign(word.lower()), match.start(), match.end()))
    return found


@lru_cache(maxsize=65_536)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a phrase alone."""
    return tuple(token.word for token in tokens_of(text))


def expanded(tokens: Iterable[Token], shorthand: Shorthand) -> list[Token]:
    """The tokens with shorthand written out; what it stands for has the place of the shorthand."""
    listed = list(tokens)
    found: list[Token] = []
    index = 0
    while index < len(listed):
        length, words = shorthand.at(listed, index)
        if length:
            start, end = listed[index].start, listed[index + length - 1].end
            found += (Token(word, start, end) for word in words)
            index += length
        else:
            found.append(listed[index])
            index += 1
    return found


class Shorthand:
    """A table of abbreviations, matched on tokens: "b/l" is three, "rll" one; the longest wins."""

    def __init__(self, table: Iterable[tuple[str, str]]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
        for short, long in table:
            words = words_of(short)
            if words:
                self._by_first.setdefault(words[0], []).append((words, words_of(long)))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def at(self, tokens: list[Token], index: int) -> tuple[int, tuple[str, ...]]:
        """(tokens that are shorthand, the words they stand for) at a place; (0, ()) for none."""
        for words, long in self._by_first.get(tokens[index].word, ()):
            if all(
                index + i < len(tokens) and tokens[index + i].word == word for i, word in enumerate(words)
            ):
                return len(words), long
        return 0, ()


def _is_inner(text: str, at: int) -> bool:
    before = text[at - 1] if at else " "
    after = text[at + 1] if at + 1 < len(text) else " "
    return before.isalnum() and after.isalnum()


def _sign(word: str) -> str:
    return "?" if word[0] == "?" else word

"""The words of a sentence with their positions, for matching phrases.

A token is a word, a number, a contracted negation ("n't") or a sign. Hyphens inside words separate them, so
that "right-sided" and "right sided" are one. Each Chinese character is a token: Chinese is written without
spaces, and phrases may have any length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_NUMBER = r"\d{1,9}+(?:[.,]\d{1,9}+){0,4}+(?![^\W\d_])"
_SIGNS = r"\?{1,40}|\.{2,60}|-{2,60}|\t{1,40}|[^\w\s]"
_TOKEN = re.compile(rf"[a-zA-Z][^\W_{_HAN}]{{0,59}}|[{_HAN}]|{_NUMBER}|[^\W_{_HAN}]{{1,60}}|{_SIGNS}")
# Text with an apostrophe: "isn't" is two words. The pattern above is the same without it, and faster.
_CONTRACTED = re.compile(
    rf"[{_HAN}]|{_NUMBER}|n't\b|'s\b|(?:(?!n't)[^\W_{_HAN}]){{1,60}}|{_SIGNS}", re.IGNORECASE
)
# Within a word these only separate its parts: right-sided, x_ray.
_INNER = frozenset("-_")
_SPECIAL = frozenset("-_x\t?")
_NOISE = re.compile(r"x{4,}", re.IGNORECASE)


class Token(NamedTuple):
    """`word` in lower case, as it was written at [start, end) of the text that was cut.

    A tuple instead of a dataclass: a report has thousands of tokens, and a tuple takes half the time.
    """

    word: str
    start: int
    end: int


_new = tuple.__new__  # without the named tuple's own constructor, which would double the time


def tokens_of(text: str, begin: int = 0, end: int | None = None) -> list[Token]:
    """The tokens of `text[begin:end]`, with places in `text`."""
    end = len(text) if end is None else end
    found: list[Token] = []
    pattern = _CONTRACTED if "'" in text else _TOKEN
    plain = text.isascii()  # then every character has a small one, and places stay the same
    for match in pattern.finditer(text.lower() if plain else text, begin, end):
        word = match[0] if plain else match[0].lower()
        start, stop = match.span()
        if (first := word[0]) in _SPECIAL:
            if (word in _INNER and _is_inner(text, start)) or (text[start] == "x" and _NOISE.fullmatch(word)):
                continue
            word = "|" if first == "\t" else "?" if first == "?" else word
        found.append(_new(Token, (word, start, stop)))
    return found


@lru_cache(maxsize=65_536)
def words_of(text: str) -> tuple[str, ...]:
    """Only the words of a phrase."""
    return tuple(token.word for token in tokens_of(text))


def expanded(tokens: Iterable[Token], shorthand: Shorthand) -> list[Token]:
    """The tokens with shorthand expanded; the expanded words have the place of the shorthand."""
    listed = list(tokens)
    found: list[Token] = []
    index = 0
    while index < len(listed):
        length, words = (
            shorthand.at(listed, index) if listed[index].word in shorthand.first_words else (0, ())
        )
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
        self.first_words = frozenset(self._by_first)
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

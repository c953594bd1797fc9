"""Splits words that lost the space between them, as in text from a form or a fax: "pleuraleffusion"."""

from __future__ import annotations

from collections.abc import Iterable, Set

from model.findings.text.tokens import Token

SHORTEST, _HALF, _TERM = 10, 3, 6  # letters


def unglued(tokens: Iterable[Token], known: Set[str], denials: Set[str]) -> list[Token]:
    """The tokens, with each unknown long word split if it consists of two known ones.

    known: words of terms; denials: short words that may stand first ("nopneumothorax").
    """
    found: list[Token] = []
    for token in tokens:
        word = token.word
        cut = 0
        if len(word) >= SHORTEST and word.isalpha() and word not in known:
            cut = next((i for i in range(2, len(word) - _TERM + 1) if _parts(word, i, known, denials)), 0)
        if cut:
            middle = token.start + cut
            found += (Token(word[:cut], token.start, middle), Token(word[cut:], middle, token.end))
        else:
            found.append(token)
    return found


def _parts(word: str, at: int, known: Set[str], denials: Set[str]) -> bool:
    first, second = word[:at], word[at:]
    return second in known and (first in denials or (len(first) >= _HALF and first in known))

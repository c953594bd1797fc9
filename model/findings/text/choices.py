"""Unfilled choices of a template: "[no/small] effusion", "Effusion: Y/N", "heart [normal/enlarged]".

The meaning of such a sentence is unknown. It is reported, never guessed. If the choice is only between sides
or grades, the finding itself is stated; only the choice is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from model.findings.spans import Reader

REASON = "a choice of the template was not made"
_BRACKETED = re.compile(r"[\[{<]([^\[\]{}<>\n]{1,80}[/|][^\[\]{}<>\n]{1,80})[\]}>]")
# A field that was never filled: "Pneumothorax: [ ].", "Effusion: ___", "{side} effusion of {size}".
_EMPTY = re.compile(
    r"[:=]\s{0,9}(?:\[[\s_.]{0,40}\]|\{[^{}\n]{0,40}\}|<[^<>\n]{0,40}>|_{2,40}|\*{2,40})?\s{0,9}[.;,]?\s{0,9}$"
    r"|\{[^{}\n]{0,40}\}"
)
_FIELD_SIGNS = frozenset(":={")
_OPTIONS = re.compile(r"[/|]")


def is_unmade(reader: Reader, sentence: str) -> bool:
    """Whether a sentence leaves a template's choice open between present and absent."""
    if not _FIELD_SIGNS.isdisjoint(sentence) and _EMPTY.search(sentence) and reader.mark(sentence).terms:
        return True
    if "/" not in sentence and "|" not in sentence:
        return False
    if any(_decides(reader, _OPTIONS.split(match[1])) for match in _BRACKETED.finditer(sentence)):
        return True
    words = [token.word for token in reader.tokens(sentence)]
    return any(words[i] == "/" and _is_opposite(reader, words, i) for i in range(1, len(words) - 1))


def other_choices(sentence: str) -> list[tuple[int, int]]:
    """The places of bracketed alternatives, which are not read."""
    if "/" not in sentence and "|" not in sentence:
        return []
    return [match.span() for match in _BRACKETED.finditer(sentence)]


def _decides(reader: Reader, options: Sequence[str]) -> bool:
    """Whether one of the options denies or states something."""
    for option in options:
        marked = reader.mark(option)
        denies = any(c.kind.endswith(":negated") for c in marked.cues)
        yes = " ".join(marked.words) in reader.pack.words["answers_yes"]
        if denies or yes or marked.states or any(t.kind == "synonym" for t in marked.terms):
            return True
    return False


def _is_opposite(reader: Reader, words: Sequence[str], slash: int) -> bool:
    """ "no / small effusion", "y / n": a denial and its opposite on the two sides of a stroke."""
    pack = reader.pack
    sides = (words[slash - 1], words[slash + 1])
    denials = pack.words["none"] | pack.words["answers_no"]
    grades = {word for listed in pack.severity.values() for word in listed} | pack.words["answers_yes"]
    return any(first in denials and second in grades for first, second in (sides, sides[::-1]))

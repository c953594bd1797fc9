"""Reads a measured cardiothoracic ratio as a state of the heart: "CTR 0.58", "HTQ 0,48", "心胸比0.6".

A ratio above one half means an enlarged heart on a frontal film; a stated judgement ("CTR normal at 0.51",
"borderline") is the dictating doctor's, and stands. Source: Danzer, "The cardiothoracic ratio", Am J Med Sci
1919.
"""

from __future__ import annotations

import re

from model.findings.located import covered, phrases_of
from model.findings.spans import Marked
from model.findings.text.tokens import Token, words_of

_NUMBER = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?")
_LIMIT = 0.5
_LEAST, _MOST = 0.25, 0.95  # what a ratio can be; anything else is a number of something else
_REACH = 4  # words between the name and its value: "is approximately", "has been measured at"
_STOPS = frozenset((",", ";", ".", "(", ")"))
_BELOW, _ABOVE = frozenset("<≤"), frozenset(">≥")


def with_ratios(marked: Marked) -> list[Token] | None:
    """The tokens with each measured ratio as words, "cardiothoracic ratio enlarged"; None without one."""
    names = phrases_of(marked.pack, "ratios")
    if not names or {name[0] for name in names}.isdisjoint(marked.bag):
        return None
    for start in range(len(marked.words)):
        name = next((n for n in names if marked.words[start : start + len(n)] == n), None)
        value = _value_after(marked, start + len(name)) if name else None
        if value is not None and not _is_former(marked, start, value[1]):
            at, end, enlarged = value
            state = marked.pack.states["enlarged" if enlarged else "normal"][0]
            first, last = marked.tokens[start], marked.tokens[at]
            # The longest name is a term of the heart.
            said = [Token(word, first.start, first.end) for word in names[0]]
            said += [Token(word, last.start, last.end) for word in words_of(state)]
            return [*marked.tokens[:start], *said, *marked.tokens[end:]]
    return None


def _is_former(marked: Marked, start: int, end: int) -> bool:
    """Whether the ratio is that of another film: "previous CTR 0.6", "CTR was 0.6 on the prior"."""
    stop = next((i for i in range(end, len(marked.words)) if marked.words[i] in _STOPS), len(marked.words))
    return not marked.pack.words["prior_films"].isdisjoint((*marked.words[:start], *marked.words[end:stop]))


def _value_after(marked: Marked, begin: int) -> tuple[int, int, bool] | None:
    """Where the value behind a name is, where it ends, and whether it means an enlarged heart."""
    words = marked.words
    said = covered(marked.states, marked.changes)
    for at in range(begin, min(len(words), begin + _REACH + 1)):
        if at in said or words[at] in _STOPS:
            return None
        if _NUMBER.fullmatch(words[at]):
            end, value = _measured(words, at)
            between = set(words[begin:at])
            if not _LEAST <= value <= _MOST:
                return None
            enlarged = value > _LIMIT or (value == _LIMIT and not between.isdisjoint(_ABOVE))
            open_ = _ABOVE if not enlarged else _BELOW  # "above 0.45", "below 0.55": either
            return (at, end, enlarged) if between.isdisjoint(open_) else None
    return None


def _measured(words: tuple[str, ...], at: int) -> tuple[int, float]:
    """Where a number ends, and its value as a ratio: "0,58", "58 %", "14 / 28"."""
    value = float(words[at].replace(",", "."))
    behind = words[at + 1 : at + 3]
    if behind[:1] == ("%",):
        return at + 2, value / 100
    if len(behind) == 2 and behind[0] in ("/", ":") and _NUMBER.fullmatch(behind[1]):
        return at + 3, value / max(float(behind[1].replace(",", ".")), 0.1)
    if behind and behind[0] in ("cm", "mm"):
        return at + 1, 0.0
    return at + 1, value

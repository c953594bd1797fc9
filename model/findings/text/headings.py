"""Headings of a report: where they are, and what each means for the text after it.

A name is looked up in the pack's list; a name with one wrong letter counts as the right one; else the
words of the name decide ("CLINICAL HX", "Brief history of present illness"). An unknown name is not a
heading: it remains part of its sentence, like "LUNGS:".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

# findings, conclusion, addendum: read. history, skip: state nothing. label: one sentence states nothing
# (comparison, technique), then the report goes on. part: a part of the body, read with its name.
# diagnosis: a conclusion after the findings, a reason for the examination before them.
Kind = Literal["findings", "conclusion", "addendum", "history", "skip", "label", "part", "diagnosis"]
READ: frozenset[Kind] = frozenset(("findings", "conclusion", "addendum"))

LONGEST = 60  # characters of a heading
_MOST_WORDS = 7
_TRIM = " \t*#_=>~-.\"'"
_BEFORE_LABEL = ("\n", ": ", "; ", "\t", ". ", "? ", "! ")
_NUMBER = re.compile(r"^\(?(?:\d{1,2}|[ivx]{1,4}|[a-h])[.)]\s{0,4}", re.IGNORECASE)
_BRACKET = re.compile(r"\([^()\n]{0,40}\)\s*$")
_SEPARATOR = re.compile(r"[ \t]{0,20}(?::(?!\d)|=|[-|]+(?=[ \t])|\t|(?=\n)|$)")
_GAP = re.compile(r"[ \t]|[.:|=\t-](?=\s|$)|$")
# "Prior report of 1/3/2021:" is the heading "prior report".
_DATE = re.compile(
    r"(?:\b(?:of|from|dated|on)\s{1,9})?\(?\b(?:\d{1,4}[./-]\d{1,2}(?:[./-]\d{2,4})?)\b\)?\s*$", re.IGNORECASE
)
_PUNCTUATION = re.compile(r"[^\w/&]+")
# Where a sentence may begin: at the start of a line, or after a stop.
_START = re.compile(
    r"(?:^|(?<=[\s.;!?>]))(?:^|(?<=\n)|(?<=[.;!?\"]\s)|(?<=[.;!?>])(?=[A-Z])|(?<=\s\s)|(?<=\t))(?=[^\W\d_]|[(*#\d_=>~])"
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading at [start, end) of the text, its sign included."""

    start: int
    end: int
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadingWords:
    """The heading vocabulary of a language: names by their decision, and the words that decide unknown
    names.
    """

    names: Mapping[str, Kind]
    words: Mapping[str, Kind]  # a single word decides, the earlier kind of `priority` first
    bare: frozenset[str]  # names that need no colon
    priority: tuple[Kind, ...] = ("history", "skip", "conclusion", "addendum", "findings", "label")

    def decide(self, name: str) -> Kind | None:
        """The decision for a heading's name; None if it is not a heading."""
        return _decide(self, _key(name))


def headings_of(text: str, vocabulary: HeadingWords) -> tuple[Heading, ...]:
    """All headings of a text in order, without overlap."""
    found: dict[int, Heading] = {}
    for heading in (*_before_colons(text, vocabulary), *_at_starts(text, vocabulary)):
        known = found.get(heading.start)
        if known is None or heading.end > known.end:
            found[heading.start] = heading
    kept: list[Heading] = []
    for heading in sorted(found.values(), key=lambda h: h.start):
        if not kept or heading.start >= kept[-1].end:
            kept.append(heading)
    return tuple(kept)


def _before_colons(text: str, vocabulary: HeadingWords) -> Iterator[Heading]:
    """Headings before a colon, also in the middle of a line: "… cough Findings: left pneumothorax"."""
    at = text.find(":")
    while at >= 0:
        begin = max(0, at - LONGEST)
        label = text[begin:at]
        cut = max(label.rfind(sign) + len(sign) - 1 if sign in label else -1 for sign in _BEFORE_LABEL)
        label = label[cut + 1 :]
        starts_here = cut >= 0 or begin == 0
        if heading := _labelled(text, at, label, vocabulary, whole=starts_here):
            yield heading
        at = text.find(":", at + 1)


def _labelled(text: str, at: int, label: str, vocabulary: HeadingWords, *, whole: bool) -> Heading | None:
    if text[at + 1 : at + 2].isdigit() and label[-1:].isdigit():  # the time of day
        return None
    if whole and (kind := vocabulary.decide(label)) is not None:
        start = at - len(label)
        return Heading(start, at + 1, kind, _key(label))
    # The longest ending that is a listed name and is written as a heading.
    words = [match.start() for match in re.finditer(r"(?<![\w/&])[^\W\d_]", label)][-_MOST_WORDS:]
    for start in words:
        name = label[start:]
        kind = vocabulary.names.get(_key(name))
        if kind not in (None, "part", "diagnosis") and not name[0].islower():  # Chinese has no capitals
            return Heading(at - len(name), at + 1, kind, _key(name))
    return None


def _at_starts(text: str, vocabulary: HeadingWords) -> Iterator[Heading]:
    """Headings that fill a line, precede a dash, or need no sign at all."""
    by_first_word = _by_first_word(vocabulary)
    for match in _START.finditer(text):
        begin = match.start()
        number = _NUMBER.match(text, begin, begin + 8)
        name_at = number.end() if number else begin
        stretch = text[name_at : name_at + LONGEST].split("\n", 1)[0]
        first = stretch.lstrip(_TRIM + " ").split(" ", 1)[0].rstrip(":.,-").lower()
        names = by_first_word.get(first)
        if names is None:
            continue
        most = _MOST_WORDS + 3  # places where the name may end
        if "(" not in stretch:
            # Nearly every sentence that begins like a heading ("Compared …") continues differently.
            key = _key(stretch)
            most = max((2 * name.count(" ") + 3 for name in names if key.startswith(name)), default=0)
        if most and (heading := _bare(text, begin, name_at, stretch, vocabulary, most)):
            yield heading


def _bare(
    text: str, begin: int, name_at: int, stretch: str, vocabulary: HeadingWords, most: int
) -> Heading | None:
    """The longest name at a place that ends at one of the first `most` gaps."""
    ends = [m.start() for m in islice(_GAP.finditer(stretch), min(most, _MOST_WORDS + 3))]
    at_line = begin == 0 or text[begin - 1] == "\n"
    for end in reversed(ends):
        name = stretch[:end]
        key = _key(name)
        kind = vocabulary.names.get(key)
        if kind is None:
            continue
        after = name_at + end
        sign = _SEPARATOR.match(text, after)
        if sign is not None and (at_line or ":" in sign[0]) and kind != "part":
            return Heading(begin, max(sign.end(), after), kind, key)
        if key in vocabulary.bare and (name[0].isupper() or at_line):
            stop = 1 if text[after : after + 1] == "." else 0
            return Heading(begin, after + stop, kind, key)
    return None


@lru_cache(maxsize=16)
def _by_first_word(vocabulary: HeadingWords) -> dict[str, tuple[str, ...]]:
    """The possible names of a heading, by their first word."""
    found: dict[str, set[str]] = {}
    for name in vocabulary.names:
        for first in (re.split(r"[ /&]", name, maxsplit=1)[0], name.split(" ", 1)[0]):
            found.setdefault(first, set()).add(name)
    return {first: tuple(names) for first, names in found.items()}


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    """A heading's name in the form for looking it up: no number, date, brackets, punctuation or capitals."""
    name = _BRACKET.sub("", _DATE.sub("", _NUMBER.sub("", name.strip(_TRIM))))
    return " ".join(_PUNCTUATION.sub(" ", name.lower()).replace("/", " / ").replace("&", " and ").split())


@lru_cache(maxsize=4096)
def _decide(vocabulary: HeadingWords, key: str) -> Kind | None:
    if not key or len(key) > LONGEST:
        return None
    if key in vocabulary.names:
        return vocabulary.names[key]
    words = key.replace(" / ", " ").split()
    if len(words) > _MOST_WORDS:
        return None
    if close := _one_letter_off(key, vocabulary):
        return close
    kinds = {vocabulary.words.get(word) for word in words}
    return next((kind for kind in vocabulary.priority if kind in kinds), None)


def _one_letter_off(key: str, vocabulary: HeadingWords) -> Kind | None:
    """The decision for a listed name of at least seven letters that is one edit away from the key."""
    if len(key) < 7:
        return None
    for name, kind in vocabulary.names.items():
        if len(name) >= 7 and abs(len(name) - len(key)) <= 1 and kind != "part" and _near(key, name):
            return kind
    return None


def _near(first: str, second: str) -> bool:
    """Whether two words differ by one insertion, deletion, substitution or swap of neighbours."""
    if first == second:
        return True
    i = next(
        (k for k, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    rest, other = first[i:], second[i:]
    swapped = rest[:2] == other[:2][::-1] and rest[2:] == other[2:] and len(rest) > 1
    return rest[1:] == other or rest == other[1:] or rest[1:] == other[1:] or swapped

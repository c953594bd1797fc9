"""A report's text cut into sections and sentences; sections that state no findings are dropped.

A section is begun by a heading ("FINDINGS:", "Indication:"). History, indication and recommendation
never state findings; comparison and technique say when and how, then the text goes on. Text without
any heading is read. Every sentence is a substring of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from model.findings.lexicon import load_cues

Kind = Literal["read", "skip", "label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """`text[start:end]` of the report, stripped; `impression` whether it stands in the conclusion."""

    text: str
    start: int
    end: int
    impression: bool = False


MAX_SENTENCE = 800  # characters
_ABBREVIATIONS = re.compile(
    r"(?:\b(?:dr|mr|mrs|ms|vs|approx|no|st|fig|e\.g|i\.e|a\.m|p\.m|resp|incl|dept|prof|jr|sr)|\b[A-Z])\.$",
    re.IGNORECASE,
)
# White space is bounded in all patterns: a page of blanks must not cost its square.
# A full stop (or ? !) before white space; a blank line; a new line that begins a list item.
_BOUNDARY = re.compile(
    r"(?P<stop>(?<!\d)[.!?]{1,40}[\"')\]]{0,4}(?=\s|$)|(?<=\d)[.!?]{1,40}(?=\s{1,40}[A-Za-z(]|\s{0,40}$)|(?<=[a-z)])\.(?=[A-Z][a-z]))"
    r"|(?P<blank>\n[ \t]{0,40}\n)"
    r"|(?P<item>\n(?=[ \t]{0,40}(?:\d{1,2}[.)]|[-*•])[ \t]))"
    r"|(?P<line>\n(?=[ \t]{0,40}[A-Z][a-z]))"
)
_BULLET = re.compile(r"^(?:\d{1,2}[.)]|[-*•#>]{1,40})\s{0,40}(?=\S)")
_NUMBER = re.compile(r"\s{0,40}\d{1,2}")
_INLINE_ITEM = re.compile(r"(?<=[.:;])\s{1,40}\d{1,2}[.)]\s{1,40}(?=[A-Z])")
_CONTINUES = re.compile(
    r"(?:[,;:\-–/]|\b(?:and|or|of|the|a|an|in|at|with|to|for|no|is|are|from|by|left|right))$", re.I
)
_CONTINUED = re.compile(r"(?:Dr|CT|PICC|Swan|Dobb|Kerley|Chest)\b")
_IMPRESSION = re.compile(r"impression|conclusion|opinion|summary|assessment", re.IGNORECASE)


def sentences_of(text: str) -> tuple[Sentence, ...]:
    """The sentences of all sections that can state a finding, in the order of the text."""
    found: list[Sentence] = []
    for start, end, impression in _readable(text):
        for left, right in _split(text, start, end):
            found.append(Sentence(text=text[left:right], start=left, end=right, impression=impression))
    return tuple(found)


@lru_cache(maxsize=1)
def _heading_pattern() -> tuple[re.Pattern[str], dict[str, Kind]]:
    kinds: dict[str, Kind] = {}
    for kind, words in load_cues().headings.items():
        kinds.update(dict.fromkeys(words, kind))  # type: ignore[arg-type]
    names = "|".join(
        re.escape(name).replace(r"\ ", r"\s{1,40}") for name in sorted(kinds, key=len, reverse=True)
    )
    pattern = re.compile(
        rf"(?:^|(?<=[.\n>;!?])|(?<=[.;!?]\s)|(?<=\s\s))[ \t]{{0,40}}+(?P<name>{names})"
        rf"[ \t]{{0,40}}(?:\([^()\n]{{0,40}}\))?"
        rf"(?:[ \t]{{0,40}}:(?!\d)|[ \t]{{0,40}}(?=\n)|[ \t]{{0,40}}$)",
        re.IGNORECASE | re.MULTILINE,
    )
    return pattern, kinds


def _readable(text: str) -> Iterator[tuple[int, int, bool]]:
    """(start, end, is the conclusion) of each stretch of text that can state findings."""
    pattern, kinds = _heading_pattern()
    headings = list(pattern.finditer(text))
    if not headings:
        yield 0, len(text), False
        return
    yield 0, headings[0].start(), False
    for index, heading in enumerate(headings):
        name = " ".join(heading["name"].lower().split())
        end = headings[index + 1].start() if index + 1 < len(headings) else len(text)
        if kinds[name] == "read":
            yield heading.end(), end, bool(_IMPRESSION.search(name))
            continue
        # Reports that go on without a heading do so after a blank line, or after the label's sentence.
        body = text[heading.end() : end]
        blank = re.search(r"\S[^\S\n]{0,40}\n[^\S\n]{0,40}\n", body)
        if blank is not None:
            yield heading.end() + blank.end(), end, False
        elif kinds[name] == "label" and index + 1 == len(headings):
            first = re.search(r"[.\n](?=\s)", body.lstrip())
            if first is not None:
                skipped = len(body) - len(body.lstrip()) + first.end()
                yield heading.end() + skipped, end, False


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = checked = start  # text[begin:checked] holds no letter or digit
    for boundary in _BOUNDARY.finditer(text, start, end):
        if boundary.start() < begin:
            continue
        if boundary["stop"] and _ABBREVIATIONS.search(text, max(begin, boundary.start() - 6), boundary.end()):
            continue
        if not any(character.isalnum() for character in text[checked : boundary.start()]):
            checked = max(checked, boundary.start())
            continue  # a mark that opens a sentence: "? effusion"
        if _NUMBER.fullmatch(text, begin, boundary.start()):
            continue  # the number of a list item, not a sentence
        if boundary["line"] is not None and not _line_ends(text, begin, boundary):
            continue
        yield from _pieces(text, begin, boundary.end())
        begin = checked = boundary.end()
    yield from _pieces(text, begin, end)


def _line_ends(text: str, begin: int, boundary: re.Match[str]) -> bool:
    """Whether a new line with a capital begins a sentence rather than continues a wrapped one."""
    line = text[max(begin, text.rfind("\n", 0, boundary.start()) + 1) : boundary.start()].rstrip()
    return not _CONTINUES.search(line) and not _CONTINUED.match(text, boundary.end()) and len(line) < 70


def _portions(text: str, left: int, right: int) -> Iterator[tuple[int, int]]:
    """Cut what no radiologist says in one breath at white space, so that reading stays linear."""
    while right - left > MAX_SENTENCE:
        cut = max(
            text.rfind(" ", left + 1, left + MAX_SENTENCE), text.rfind("\n", left + 1, left + MAX_SENTENCE)
        )
        cut = cut if cut > left else left + MAX_SENTENCE
        yield left, left + len(text[left:cut].rstrip())
        left = cut + len(text[cut:right]) - len(text[cut:right].lstrip())
    if left < right:
        yield left, right


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut "1. … 2. …" on one line, then strip white space and list marks."""
    begin = start
    for item in [*_INLINE_ITEM.finditer(text, start, end), None]:
        stop = end if item is None else item.start()
        piece = text[begin:stop]
        left = begin + len(piece) - len(piece.lstrip())
        bullet = _BULLET.match(text[left:stop])
        left += bullet.end() if bullet else 0
        right = left + len(text[left:stop].rstrip())
        if any(character.isalnum() for character in text[left:right]):
            yield from _portions(text, left, right)
        begin = end if item is None else item.end()

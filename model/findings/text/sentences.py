"""The sentences of a report that can state a finding: its read sections, cut at stops, lines and items."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from model.findings.text.headings import HeadingWords
from model.findings.text.items import BULLET, INLINE, NO_ORDINAL, line_ends, unchecked
from model.findings.text.sections import BodyStart, Section, sections_of

MAX_SENTENCE = 800  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """`text[start:end]` of the report, stripped; `impression` whether it is in the conclusion.

    dropped: stretches of the report that belong to boxes which are not ticked. label: the label of an
    earlier sentence of its line ("LEFT LUNG:") that applies to this one. lead: the words of the line above a
    list ("No evidence of") that each of its items continues.
    """

    text: str
    start: int
    end: int
    impression: bool = False
    addendum: bool = False
    dropped: tuple[tuple[int, int], ...] = ()
    label: str = ""
    lead: str = ""


_ABBREVIATIONS = re.compile(
    r"(?:\b(?:dr|mr|mrs|ms|vs|approx|no|st|fig|e\.g|i\.e|a\.m|p\.m|resp|incl|dept|prof|jr|sr|lt|rt|bilat|mod|"
    r"min|ca|cf|bzw|ggf|z\.b|adv|c\.p|r\.?t|l\.?t|pt)|\b[A-Z])\.$",
    re.IGNORECASE,
)
# How these end, and single letters: nearly every sentence ends otherwise, and need not be searched.
_ABBREVIATED = frozenset(
    (
        *(
            "dr",
            "mr",
            "rs",
            "ms",
            "vs",
            "ox",
            "no",
            "st",
            "ig",
            "sp",
            "cl",
            "pt",
            "of",
            "jr",
            "sr",
            "lt",
            "rt",
        ),
        *("re", "li", "ds", "zq", "eg", "os", "ss", "ob", "at", "od", "in", "ca", "cf", "zw", "gf", "dv"),
    )
)
# Words that end a sentence unless it goes on in small letters or with a sign: "Neg. for effusion".
_MAY_END = re.compile(r"\b(?:re|li|bds|izq|neg|pos|poss|prob|susp)\.$", re.IGNORECASE)
_GOES_ON = re.compile(r"[ \t]{0,9}(?:[a-zäöüß+,;-]|(?:FOR|OF|FÜR|PARA)\b)")
_ENDS_WITH_NO = re.compile(r"\bno\.$", re.IGNORECASE)
# White space is bounded in all patterns: a page of blanks must not take quadratic time.
_BOUNDARY = re.compile(
    r"(?=[.!?\n/;|,])(?:(?P<leader>\.{4,60}(?=[ \t]{0,9}\S)|(?<=[ \t])\.{2,60}(?=[ \t]{1,9}\S))"
    r"|(?P<stop>(?<!\d)(?:[.!]|(?<![\s(,;:?\n])\?){1,40}[\"')\]]{0,4}(?=\s|$)"
    rf"|(?<=\d)[.!?]{{1,40}}{NO_ORDINAL}"
    r"(?=\s{1,40}[A-Za-z(\u4e00-\u9fff]|\s{0,40}$)"
    r"|(?<=[a-z)])\.(?=[A-Z])|(?<=[A-Z]{3})\.(?=[A-Z]{2})|(?<=[A-Za-z)])\.(?=\d{1,2}[.)]\s?[A-Z]))"
    r"|(?P<blank>\n[ \t]{0,40}\n)"
    r"|(?P<line>\n)"
    r"|(?P<label>[/;|,]\s{0,20}(?=[A-Z][A-Za-z &]{2,40}[ \t]{0,4}[:=][ \t])))"
)
_ALNUM = re.compile(r"[^\W_]")
# What every item in the middle of a line contains.
_MAYBE_INLINE = re.compile(r"\)|\d\.|[B-H]\.\s|[\u2022\u25e6\u25aa\u2023\u25cf\u25cb\u27a2\u25ba]")
_NUMBER = re.compile(r"\s{0,40}\(?(?:\d{1,2}|[A-Ha-h])[.)]?\s{0,40}")
_LABEL = re.compile(r"(?:\d{1,2}[.)]\s)?\(?([A-Za-z][A-Za-z /&()-]{0,40}?)[ \t]{0,4}:")


def sentences_of(
    text: str,
    words: HeadingWords,
    body: BodyStart,
    joins: Callable[[str, str], bool] = lambda _line, _next: False,
) -> tuple[Sentence, ...]:
    """The sentences of all sections that can state a finding, in the order of the text.

    words, body: the headings of the text's language and how a body begins; joins: whether the last
    word of a line and the first of the next belong to one term.
    """
    found: list[Sentence] = []
    for section in sections_of(text, words, body):
        if section.read:
            found += _of_section(text, section, joins)
    return tuple(found)


def joined(
    text: str, sentences: Sequence[Sentence], belongs: Callable[[Sentence, Sentence], bool]
) -> list[Sentence]:
    """The sentences, each that belongs to the one before it as a part of that one."""
    found: list[Sentence] = []
    for sentence in sentences:
        if found and belongs(found[-1], sentence):
            first = found[-1]
            found[-1] = replace(
                first,
                text=text[first.start : sentence.end],
                end=sentence.end,
                dropped=(*first.dropped, *sentence.dropped),
            )
        else:
            found.append(sentence)
    return found


def _of_section(text: str, section: Section, joins: Callable[[str, str], bool]) -> Iterator[Sentence]:
    dropped = tuple(unchecked(text, section.start, section.end))
    label, paragraph = "", section.start
    for left, right in _split(text, section.start, section.end, joins):
        if "\n" in text[paragraph:left]:
            label = ""
        paragraph = right
        own = _LABEL.match(text, left, right) if ":" in text[left:right] else None
        yield Sentence(
            text=text[left:right],
            start=left,
            end=right,
            impression=section.kind == "conclusion",
            addendum=section.kind == "addendum",
            dropped=tuple(d for d in dropped if d[0] < right and left < d[1]) if dropped else (),
            label="" if own else label,
        )
        label = own[1] if own else label


def _split(text: str, start: int, end: int, joins: Callable[[str, str], bool]) -> Iterator[tuple[int, int]]:
    begin = checked = start  # text[begin:checked] holds no letter or digit
    for boundary in _BOUNDARY.finditer(text, start, end):
        if boundary.start() < begin:
            continue
        if boundary["leader"]:
            continue  # "Effusion ....... none"
        if boundary["stop"] and _is_abbreviation(text, begin, boundary):
            continue
        if _ALNUM.search(text, checked, boundary.start()) is None:
            checked = max(checked, boundary.start())
            continue  # a mark that opens a sentence: "? effusion"
        if boundary["stop"] and _NUMBER.fullmatch(text, begin, boundary.start()):
            continue  # the number of a list item, not a sentence
        if boundary["line"] is not None and not line_ends(text, begin, boundary.start(), end, joins):
            continue
        yield from _pieces(text, begin, boundary.end())
        begin = checked = boundary.end()
    yield from _pieces(text, begin, end)


def _is_abbreviation(text: str, begin: int, boundary: re.Match[str]) -> bool:
    at = boundary.end() - 1
    if text[at - 2 : at].lower() not in _ABBREVIATED and text[at - 2 : at - 1].isalnum():
        return False
    window = text[max(begin, boundary.start() - 8) : boundary.end()]
    if _MAY_END.search(window):
        return _GOES_ON.match(text, boundary.end()) is not None
    if not _ABBREVIATIONS.search(window):
        return False
    following = text[boundary.end() : boundary.end() + 2].strip()
    if _ENDS_WITH_NO.search(window):
        return following[:1].isdigit()  # "no. 4", never "Effusion? No. …"
    return bool(following) and text[boundary.end() : boundary.end() + 1] != "\n"


def _portions(text: str, left: int, right: int) -> Iterator[tuple[int, int]]:
    """Split overlong sentences at white space, so that reading takes linear time."""
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
    inline = INLINE.finditer(text, start, end) if _MAYBE_INLINE.search(text, start, end) else ()
    for item in [*inline, None]:
        stop = end if item is None else item.start()
        left = begin + len(text[begin:stop]) - len(text[begin:stop].lstrip())
        while bullet := BULLET.match(text, left, stop):
            left = bullet.end()
        right = left + len(text[left:stop].rstrip())
        if _ALNUM.search(text, left, right) is not None:
            yield from _portions(text, left, right)
        begin = end if item is None else item.end()

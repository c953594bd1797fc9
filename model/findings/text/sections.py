"""Finds the sections of a report that can state findings.

History, requests, recommendations and signatures state none. Comparison and technique are one sentence, then
the report continues. A report without a heading for its body continues after the line of its history.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from model.findings.text.headings import READ, Heading, HeadingWords, Kind, headings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """`text[start:end]` with the decision of its heading; `named` is the heading that precedes it."""

    start: int
    end: int
    kind: Kind
    read: bool
    named: str = ""


_BLANK = re.compile(r"\n[^\S\n]{0,40}\n")
_STOP = re.compile(r"(?<!\s)[.!?](?=\s|$)|\n")  # not the mark that opens "? fracture"
_PAST = re.compile(r"past|pmh|psh|medical hist|surgical|family|social|allerg|medication|vorgesch|既往")
_FIRST = re.compile(r"\S")
_AHEAD = 400  # characters behind a history that decide whether it goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyStart:
    """How the body begins after a history: `openers` ("there is", "the heart", "no"), and whether a
    sentence, given those behind it, `states` a finding as an observer does.
    """

    openers: re.Pattern[str]
    states: Callable[[str, Sequence[str]], bool] = lambda _sentence, _following: False


def sections_of(text: str, words: HeadingWords, body: BodyStart) -> tuple[Section, ...]:
    """The report in sections, read or not, in order; together they are the text without its headings.

    body: how its sentences begin, to find where it continues.
    """
    headings = headings_of(text, words)
    if not headings:
        return (Section(start=0, end=len(text), kind="findings", read=True),)
    found = list(_preamble(text, headings))
    for index, heading in enumerate(headings):
        end = headings[index + 1].start if index + 1 < len(headings) else len(text)
        kind = _settled(heading, headings, index)
        if kind in READ:
            found.append(Section(start=heading.end, end=end, kind=kind, read=True, named=heading.name))
        elif kind == "part":
            found.append(Section(start=heading.start, end=end, kind="findings", read=True))
        else:
            body_follows = any(h.kind == "findings" for h in headings[index + 1 :])
            found += _unread(text, heading, end, kind, body_follows, body)
    return tuple(section for section in found if section.start < section.end)


def _settled(heading: Heading, headings: Sequence[Heading], index: int) -> Kind:
    """A diagnosis is the conclusion after findings, and the reason of the request before them; a follow-up is
    advice at the end, and the kind of film at the beginning: "Follow-up: left effusion has increased".
    """
    if heading.name == "follow up" and heading.start == 0:
        return "findings"
    if heading.kind != "diagnosis":
        return heading.kind
    before = any(h.kind in READ or h.kind == "part" for h in headings[:index])
    behind = any(h.kind in READ for h in headings[index + 1 :])
    return "conclusion" if before or not behind else "history"


def _preamble(text: str, headings: Sequence[Heading]) -> Iterator[Section]:
    """The text before the first heading: a title or a history if a heading for the findings follows."""
    end = headings[0].start
    titled = headings[0].kind == "findings" and _ASKED.search(text, 0, end) is not None
    yield Section(start=0, end=end, kind="history" if titled else "findings", read=not titled)


_ASKED = re.compile(
    r"\b(?:\d{1,3}[ -]?(?:y/?o|year|yr|[mf]\b)|history|hx|r/o|rule out|eval|evaluate|assess|presents|p/w|"
    r"complain|cough|fever|pain|dyspnea|sob|shortness|clinical|reason|indication)",
    re.IGNORECASE,
)


def _unread(
    text: str, heading: Heading, end: int, kind: Kind, body_follows: bool, body: BodyStart
) -> Iterator[Section]:
    """The section that states nothing, and what is read after it."""
    if _PAST.match(heading.name):  # a list of diseases, as the body is one of findings
        body = replace(body, states=lambda _sentence, _following: False)
    cut = end if body_follows else _resumes(text, heading.end, end, kind, body)
    yield Section(start=heading.end, end=cut, kind=kind, read=False, named=heading.name)
    if cut < end:
        yield Section(start=cut, end=end, kind="findings", read=True)


def _resumes(text: str, start: int, end: int, kind: Kind, body: BodyStart) -> int:
    """Where the report continues after the content of a heading; `end` if it does not."""
    first = _FIRST.search(text, start, end)
    if first is None:
        return end
    blank = _BLANK.search(text, first.start(), end)
    limit = blank.end() if blank is not None else end
    for stop in _STOP.finditer(text, first.start(), limit):
        following = _FIRST.search(text, stop.end(), limit)
        if following is None:
            break
        if text[stop.start()] == "." and _is_abbreviation(text, stop.start()):
            continue
        if kind == "label":
            return stop.end()
        on_new_line = "\n" in text[stop.start() : following.start()]
        if body.openers.match(text, following.start()):
            return stop.end()
        if on_new_line and _begins_body(text, following.start()):
            return stop.end()
        ended = text[stop.start()] != "\n"  # not a wrapped line
        if kind == "history" and ended and body.states(*_cut(text[following.start() : limit][:_AHEAD])):
            return stop.end()
    return limit


def _cut(passage: str) -> tuple[str, Sequence[str]]:
    """The first sentence of a passage, and the others."""
    stops = [m for m in _STOP.finditer(passage) if m[0] != "." or not _is_abbreviation(passage, m.start())]
    cuts = [0, *(stop.end() for stop in stops), len(passage)]
    first, *others = (passage[a:b].strip() for a, b in pairwise(cuts) if passage[a:b].strip())
    return first, others


def _begins_body(text: str, at: int) -> bool:
    """Whether a line after a history is a new statement rather than more history."""
    line = text[at : at + 200].split("\n", 1)[0]
    return line[0].isupper() and not _ASKED.search(line) and "?" not in line


def _is_abbreviation(text: str, at: int) -> bool:
    """ "Dr. Smith", "vs. pneumonia": the stop ends no sentence."""
    word = re.search(r"[A-Za-z]{1,4}$", text[max(0, at - 5) : at])
    return word is not None and (
        len(word[0]) == 1 or word[0].lower() in ("dr", "mr", "mrs", "vs", "pt", "st", "no")
    )

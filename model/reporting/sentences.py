"""Splits a decoded report into its sentences, with the section and the confidence of each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from model.decode import Decoded
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.wording import worded_languages, wording_in
from model.network.tokenizer import ReportTokenizer

Section = Literal["findings", "impression"]
_END = re.compile(r"[.!?](?=\s|$)|[\u3002\uff01\uff1f]|\n+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenSentence:
    """A sentence as decoded: its words, section, first token, and its tokens' least probability."""

    text: str
    section: Section
    first_token: int
    confidence: float


def spoken_sentences(report: Decoded, tokenizer: ReportTokenizer) -> tuple[SpokenSentence, ...]:
    """The sentences of a report with their tokens; headings separate sentences and are not sentences
    themselves. Text

    before any heading counts as findings; a last sentence without its full stop counts too.
    """
    text = tokenizer.decode(report.tokens)
    starts = _token_starts(report.tokens, tokenizer)
    found = []
    for section, start, end in _sections(text):
        for left, right in _split(text, start, end):
            first = bisect_right(starts, left) - 1
            last = bisect_right(starts, right - 1)
            found.append(
                SpokenSentence(
                    text=text[left:right],
                    section=section,
                    first_token=first,
                    confidence=min(report.confidences[first:last]),
                )
            )
    return tuple(found)


def _token_starts(tokens: Sequence[int], tokenizer: ReportTokenizer) -> list[int]:
    """At which character of the text each token begins (a token may hold part of a character only)."""
    return [len(tokenizer.decode(tokens[:count])) for count in range(len(tokens))]


def _sections(text: str) -> list[tuple[Section, int, int]]:
    titles = _titles(load_vocabulary())
    headings = list(_heading(tuple(titles)).finditer(text))
    sections: list[tuple[Section, int, int]] = [
        ("findings", 0, headings[0].start() if headings else len(text))
    ]
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=False):
        sections.append((titles[heading.group(1).lower()], heading.end(), end))
    return sections


def _titles(vocabulary: Vocabulary) -> dict[str, Section]:
    """The titles of every language that has a canonical wording, in lower case."""
    found: dict[str, Section] = {}
    for code in worded_languages(vocabulary):
        findings, impression = wording_in(code, vocabulary).titles
        found |= {findings.lower(): "findings", impression.lower(): "impression"}
    return found


@lru_cache(maxsize=4)
def _heading(titles: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W\d_])({'|'.join(map(re.escape, titles))})\s*", re.IGNORECASE)


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Bounds of the sentences in `text[start:end]`, without the space around them."""
    edges = [start, *(match.end() for match in _END.finditer(text, start, end)), end]
    spans = []
    for left, right in pairwise(edges):
        piece = text[left:right]
        if piece.strip():
            spans.append((left + len(piece) - len(piece.lstrip()), left + len(piece.rstrip())))
    return spans

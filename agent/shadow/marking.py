"""Marks the places in a text that state findings in which draft and signed report differ. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

from model.findings.types import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPiece:
    """A piece of a text; `concepts` are the differing findings that it states, usually none."""

    text: str
    concepts: tuple[str, ...] = ()


def marked(text: str, findings: Iterable[Finding], concepts: Collection[str]) -> list[MarkedPiece]:
    """Return a text in pieces, with the evidence for these concepts separate; joined, the pieces are the
    text.
    """
    spans = {
        (span, finding.concept)
        for finding in findings
        if finding.concept in concepts and (span := _span(text, finding)) is not None
    }
    edges = sorted({0, len(text), *(edge for span, _concept in spans for edge in span)})
    pieces = []
    for begin, end in pairwise(edges):
        here = {concept for (first, last), concept in spans if first <= begin and end <= last}
        pieces.append(MarkedPiece(text=text[begin:end], concepts=tuple(sorted(here))))
    return pieces


def _span(text: str, finding: Finding) -> tuple[int, int] | None:
    """The finding's own offsets if they fit the text; otherwise the place of its evidence."""
    if finding.span is not None:
        begin, end = finding.span
        if 0 <= begin < end <= len(text):
            return begin, end
    begin = text.find(finding.evidence) if finding.evidence else -1
    return None if begin < 0 else (begin, begin + len(finding.evidence))

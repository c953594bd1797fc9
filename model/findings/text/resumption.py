"""Decides whether a sentence behind a history on the same line belongs to the body of the report.

"Hx CHF. Heart enlarged." goes on with a finding; "History: cough. Known left effusion, drained. Fever." goes
on with the history. Only what reads like an observation ends a history: an untold finding is noticed by the
reader of the draft, while a false one may be signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from model.findings.reading import explained
from model.findings.spans import Marked, Reader
from model.findings.types import Finding, Presence

Resumes = Callable[[str, Sequence[str]], bool]
_KINDS = frozenset(("before:historical", "before:hypothetical", "before:uncertain"))


def resumption(reader: Reader) -> Resumes:
    """Whether a sentence, given those behind it, begins the body after a history."""
    return partial(_resumes, reader)


def _resumes(reader: Reader, sentence: str, following: Sequence[str]) -> bool:
    if "?" in sentence or not _states(reader, sentence):
        return False
    return not any(_asks(reader, other) for other in following)


def _states(reader: Reader, sentence: str) -> bool:
    """Whether it denies something, or states it with a side, place, grade or state, and without a hint of a
    history.
    """
    marked = reader.mark(sentence)
    pack = marked.pack.words
    told = pack["complaints"] | pack["requests"] | pack["past"]
    if not told.isdisjoint(marked.bag) or any(cue.kind in _KINDS for cue in marked.cues):
        return False
    first = min((term.start for term in marked.terms), default=0)
    if not (pack["old"] | pack["prior_films"] | pack["former"]).isdisjoint(marked.words[:first]):
        return False
    stated = [read.finding for read in explained(reader, sentence) if read.finding is not None]
    return any(_is_observed(marked, finding) for finding in stated)


def _is_observed(marked: Marked, finding: Finding) -> bool:
    """Whether a finding is told as one sees it; "CHF" or "pneumonia" alone may be what the patient has."""
    described = finding.laterality or finding.location or finding.severity or marked.states
    return finding.presence is Presence.ABSENT or bool(described)


def _asks(reader: Reader, sentence: str) -> bool:
    """Whether a later sentence asks or complains, so that those before it are still the history."""
    words = [token.word for token in reader.tokens(sentence)]
    pack = reader.pack.words
    asked = "?" in words or not pack["requests"].isdisjoint(words[:1])
    return asked or not pack["complaints"].isdisjoint(words)

"""Decides whether the canonical wording can produce a sentence: an exact inverse of `model.findings.wording`.

The networks are trained on canonical sentences only, so a sentence outside this language is broken. Free
text is read by `model.findings.extract`; this is the strict check for evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.wording import (
    NO_FINDING,
    NO_FINDING_SENTENCE,
    normalised_report,
    sentence_for,
    worded_languages,
    wording_in,
)
from model.findings.wording_pack import PackWording, pack_wording
from model.findings.wording_terms import NORMAL_SENTENCE, PLACES, TERM_ORDER, name_of

MALPOSITION = "malpositioned_device"

_LIST = re.compile(r"No ([a-z ,]+)\.")
_TRAILING = frozenset((Change.INCREASED, Change.DECREASED, Change.UNCHANGED))
_GRADES = {
    "mild": Severity.MILD, "small": Severity.MILD, "moderate": Severity.MODERATE, "severe": Severity.SEVERE,
    "large": Severity.SEVERE,
}  # fmt: skip
_NORMAL = {
    sentence[:1].lower() + sentence[1:].removesuffix("."): concept
    for concept, sentence in NORMAL_SENTENCE.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalReading:
    """A strictly read report: the findings in its sentences, and the number of unknown sentences."""

    findings: tuple[Finding, ...]
    sentences: int
    broken: int
    legal: bool  # the report is exactly the canonical wording of its own findings


def read_canonical(text: str) -> CanonicalReading:
    """Reads a report whose sentences should all be canonical."""
    findings: dict[Finding, None] = {}
    sentences = broken = 0
    for sentence in split_sentences(text):
        sentences += 1
        stated = statement(sentence)
        broken += stated is None
        findings |= dict.fromkeys(stated or ())
    complete = bool(sentences) and not broken and _is_whole(findings, text.strip())
    return CanonicalReading(findings=tuple(findings), sentences=sentences, broken=broken, legal=complete)


def _is_whole(findings: Mapping[Finding, None], text: str) -> bool:
    """Whether the wording of a language produces exactly this text from the findings."""
    vocabulary = load_vocabulary()
    return any(
        normalised_report(findings, language=code).text == text for code in worded_languages(vocabulary)
    )


def split_sentences(text: str) -> list[str]:
    """The sentences of a report without its titles; trailing text without a full stop is one too."""
    titles, stops = _frames(load_vocabulary())
    for title in titles:
        text = text.replace(title, " ")
    return [part.strip() for part in re.findall(rf"[^{stops}]+[{stops}]?", text) if part.strip()]


@lru_cache(maxsize=4)
def _frames(vocabulary: Vocabulary) -> tuple[tuple[str, ...], str]:
    """(the titles, the full stops) of all languages that have a wording."""
    codes = worded_languages(vocabulary)
    titles = tuple(title for code in codes for title in wording_in(code, vocabulary).titles)
    return titles, re.escape("." + "".join(wording.stop for wording in _pack_wordings(vocabulary)))


def _pack_wordings(vocabulary: Vocabulary) -> list[PackWording]:
    found = (pack_wording(vocabulary, code) for code in worded_languages(vocabulary)[1:])
    return [wording for wording in found if wording is not None]


@lru_cache(maxsize=16_384)
def statement(sentence: str) -> tuple[Finding, ...] | None:
    """The findings in a canonical sentence, or None if it is not canonical.

    The sentence is parsed with the grammar of `wording`, and counts only if the wording produces exactly this
    sentence from the result.
    """
    if sentence == NO_FINDING_SENTENCE:
        return (Finding(concept=NO_FINDING, presence=Presence.PRESENT),)
    if not sentence.endswith("."):
        stated = (
            w.statement(sentence) for w in _pack_wordings(load_vocabulary()) if sentence.endswith(w.stop)
        )
        return next((findings for findings in stated if findings is not None), None)
    for candidate in _candidates(sentence[:1].lower() + sentence[1:-1]):
        if _worded(candidate) == sentence:
            return candidate
    return _listed(sentence)


def _worded(findings: tuple[Finding, ...]) -> str:
    if len(findings) == 1:
        return sentence_for(findings[0])
    report = normalised_report(findings).findings
    return report[0] if len(report) == 1 else ""


def _candidates(words: str) -> Iterator[tuple[Finding, ...]]:
    """The findings that the words could state in the grammar: opening, new, severity, side, name, place,
    change.
    """
    if words in _NORMAL:
        yield (Finding(concept=_NORMAL[words], presence=Presence.ABSENT),)
    head, _, tail = words.rpartition(", ")
    change = Change(tail) if head and tail in _TRAILING else None
    rest = head if change is not None else words
    presence, rest = _opened(rest)
    resolved = presence is None
    if rest.startswith("new "):
        change, rest = Change.NEW, rest.removeprefix("new ")
    first, _, others = rest.partition(" ")
    severity = _GRADES.get(first)
    rest = others if severity is not None else rest
    first, _, others = rest.partition(" ")
    side = Laterality(first) if first in set(Laterality) else None
    rest = others if side is not None else rest
    wrong = rest.startswith("malpositioned ") and rest not in _names() and "malpositioned device" not in rest
    rest = rest.removeprefix("malpositioned ") if wrong else rest
    for name, concept in _names().items():
        if rest != name and not rest.startswith(f"{name} "):
            continue
        for location, near in _places(rest[len(name) :].strip()):
            finding = Finding(
                concept=concept,
                presence=Presence.ABSENT if presence is None else presence,
                laterality=near or side,
                location=location,
                severity=severity,
                change=Change.RESOLVED if resolved else change,
            )
            yield (finding, replace(finding, concept=MALPOSITION)) if wrong else (finding,)


def _opened(words: str) -> tuple[Presence | None, str]:
    """(presence, the rest); no presence for "resolved"."""
    for opening, presence in (
        ("possible ", Presence.INDETERMINATE),
        ("no ", Presence.ABSENT),
        ("resolved ", None),
    ):
        if words.startswith(opening):
            return presence, words.removeprefix(opening)
    return Presence.PRESENT, words


def _places(words: str) -> Iterator[tuple[str | None, Laterality | None]]:
    """(place, side stated with it) that the words after a name could mean."""
    if words in ("", "in place"):
        yield None, None
    for key, place in PLACES.items():
        if words == f"{place.preposition} {place.singular}":
            yield key, None
        if words == f"{place.preposition} {place.plural}":
            yield key, Laterality.BILATERAL
        for side in (Laterality.LEFT, Laterality.RIGHT):
            if words == f"{place.preposition} {side} {place.singular}":
                yield key, side


def _listed(sentence: str) -> tuple[Finding, ...] | None:
    """No A, B or C."""
    listed = _LIST.fullmatch(sentence)
    if listed is None:
        return None
    names = re.split(r", | or ", listed.group(1))
    concepts = [_names().get(name) for name in names]
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    if None in concepts or f"No {joined}." != sentence:
        return None
    return tuple(Finding(concept=c, presence=Presence.ABSENT) for c in concepts if c is not None)


@lru_cache(maxsize=1)
def _names() -> Mapping[str, str]:
    """The names of concepts, one-sided and bilateral, the longer first."""
    vocabulary = load_vocabulary()
    names = {
        name_of(concept, vocabulary, bilateral=both): concept
        for concept in (*TERM_ORDER, *vocabulary.concepts)
        for both in (True, False)
    }
    return dict(sorted(names.items(), key=lambda item: -len(item[0])))

"""The canonical wording of a normalised report: one preferred sentence per statement, regions in order.

One-step decoding works only if each statement has a single wording (otherwise image noise would decide
between two equally probable paraphrases). Therefore nothing is random here: a sentence depends only on side,
place, severity and change. The grammar of a sentence is deliberately small: `wording_english` has the English
one, `wording_pack` that of a language whose pack has a section `wording` (Chinese).

Source: the region order is the one of ECHO's normalised reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from model.findings.errors import WordingError
from model.findings.types import Change, Finding, Presence
from model.findings.vocabulary import Vocabulary, load_vocabulary
from model.findings.wording_english import NO_FINDING_SENTENCE, TITLES, EnglishWording
from model.findings.wording_pack import pack_wording
from model.findings.wording_terms import IMPORTANCE, REGION_ORDER, TERM_ORDER, is_device, region_of

__all__ = ["NO_FINDING", "NO_FINDING_SENTENCE", "NormalisedReport", "normalised_report", "sentence_for"]

NO_FINDING = "no_finding"


class Wording(Protocol):
    """The wording of one language; sentences end in its full stop."""

    @property
    def titles(self) -> tuple[str, str]:
        """The titles of the findings and of the impression."""

    @property
    def space(self) -> str:
        """The separator between sentences."""

    @property
    def no_finding(self) -> str:
        """The sentence of a normal chest."""

    @property
    def normal(self) -> Mapping[str, str]:
        """The plain absences that are worded as a normal region, by concept."""

    def sentence(self, finding: Finding) -> str:
        """The sentence of one finding."""

    def malpositioned(self, device: Finding) -> str:
        """The sentence for a malpositioned device."""

    def denied(self, concepts: Sequence[str]) -> str:
        """The sentence of plain absences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedReport:
    """The sentences of a normalised report, each ending in a full stop."""

    findings: tuple[str, ...]
    impression: tuple[str, ...]
    titles: tuple[str, str] = TITLES
    space: str = " "  # between sentences; none in Chinese

    @property
    def text(self) -> str:
        """`Findings: … Impression: …`; a part without a sentence is left out."""
        parts = zip(self.titles, (self.findings, self.impression), strict=True)
        return self.space.join(self.space.join((title, *said)) for title, said in parts if said)


def normalised_report(
    findings: Iterable[Finding], vocabulary: Vocabulary | None = None, language: str = "en"
) -> NormalisedReport:
    """Word findings as a normalised report that states them and nothing else.

    Nothing else is mentioned: a region without a finding gets no sentence.
    `no_finding` (present) becomes the impression "No acute cardiopulmonary abnormality."; absent or
    indeterminate it says nothing that the other findings do not. The impression repeats the present
    and indeterminate findings, the most important first; a device that is where it belongs is left
    to the findings. Order and duplicates of the argument do not matter. `vocabulary` (by default the
    shipped one) names what a hospital has added; `language` is the code of a language with a wording.

    Returns: sentences in the fixed order of regions; within one, present, possible, then absent.
    Raises:
        WordingError: no canonical wording is known in the language.
    """
    words = vocabulary or load_vocabulary()
    wording = wording_in(language, words)
    unique = dict.fromkeys(replace(finding, evidence="") for finding in findings)
    stated = sorted((f for f in unique if f.concept != NO_FINDING), key=_order)
    sentences: list[str] = []
    for region in REGION_ORDER:
        sentences += _region_sentences(
            [f for f in stated if region_of(f.concept, words) == region], words, wording
        )
    impression = list(dict.fromkeys(_impression_sentences(stated, words, wording)))
    if any(f.concept == NO_FINDING and f.presence is Presence.PRESENT for f in unique):
        impression.append(wording.no_finding)
    return NormalisedReport(
        findings=tuple(sentences), impression=tuple(impression), titles=wording.titles, space=wording.space
    )


def wording_in(language: str, vocabulary: Vocabulary) -> Wording:
    """The canonical wording of a language.

    Raises:
        WordingError: its pack has none, or there is no pack.
    """
    wording = _english(vocabulary) if language == "en" else pack_wording(vocabulary, language)
    if wording is None:
        raise WordingError(language, worded_languages(vocabulary))
    return wording


def worded_languages(vocabulary: Vocabulary) -> tuple[str, ...]:
    """The languages that have a canonical wording: English, and those whose pack has a section for it."""
    return ("en", *(code for code, pack in vocabulary.packs.items() if pack.wording and code != "en"))


@lru_cache(maxsize=16)
def _english(vocabulary: Vocabulary) -> EnglishWording:
    return EnglishWording(vocabulary)


def sentence_for(finding: Finding, vocabulary: Vocabulary | None = None, language: str = "en") -> str:
    """The one sentence that states one finding alone.

    >>> from model.findings.types import Finding, Laterality, Presence, Severity
    >>> sentence_for(Finding(concept="pleural_effusion", presence=Presence.PRESENT,
    ...                      laterality=Laterality.LEFT, severity=Severity.MILD))
    'Small left pleural effusion.'
    """
    return _sentence(finding, wording_in(language, vocabulary or load_vocabulary()))


def _sentence(finding: Finding, wording: Wording) -> str:
    if _is_plain_absence(finding) and finding.concept in wording.normal:
        return wording.normal[finding.concept]
    return wording.sentence(finding)


def _region_sentences(findings: Sequence[Finding], words: Vocabulary, wording: Wording) -> list[str]:
    stated, merged = _merge_malposition(findings, words, wording)
    sentences = [*merged, *(_sentence(f, wording) for f in stated if not _is_plain_absence(f))]
    absent = [f for f in stated if _is_plain_absence(f)]
    listed = [f.concept for f in absent if f.concept not in wording.normal]
    if listed:
        sentences.append(wording.denied(listed))
    sentences += [wording.normal[f.concept] for f in absent if f.concept in wording.normal]
    return sentences


# In "malpositioned tube at the carina, increased" a reader would take the change for the tube's.
_OF_BOTH = (None, Change.NEW, Change.UNCHANGED)


def _merge_malposition(
    findings: Sequence[Finding], words: Vocabulary, wording: Wording
) -> tuple[list[Finding], list[str]]:
    """A tube and its malposition are one statement: "Malpositioned endotracheal tube in the …"."""
    left, sentences = list(findings), []
    for wrong in [f for f in findings if f.concept == "malpositioned_device"]:
        if wrong.presence is not Presence.PRESENT or wrong.location is None:
            continue
        if wrong.change not in _OF_BOTH:
            continue
        for device in [f for f in left if is_device(f.concept, words)]:
            if replace(device, concept=wrong.concept) == wrong:
                left = [f for f in left if f not in (wrong, device)]
                sentences.append(wording.malpositioned(device))
                break
    return left, sentences


def _impression_sentences(findings: Sequence[Finding], words: Vocabulary, wording: Wording) -> list[str]:
    loose, merged = _merge_malposition(findings, words, wording)
    worth = [f for f in loose if f.presence is not Presence.ABSENT and not is_device(f.concept, words)]
    worth.sort(
        key=lambda f: (f.presence is Presence.INDETERMINATE, IMPORTANCE.get(f.concept, len(IMPORTANCE)))
    )
    return [*merged, *(_sentence(f, wording) for f in worth)]


def _is_plain_absence(finding: Finding) -> bool:
    return finding == Finding(concept=finding.concept, presence=Presence.ABSENT)


_PRESENCE_ORDER = {Presence.PRESENT: 0, Presence.INDETERMINATE: 1, Presence.ABSENT: 2}


def _order(finding: Finding) -> tuple[object, ...]:
    attributes = (finding.laterality, finding.location, finding.severity, finding.change)
    rank = TERM_ORDER.get(finding.concept, len(TERM_ORDER))
    return (_PRESENCE_ORDER[finding.presence], rank, finding.concept, *(value or "" for value in attributes))

"""Is a sentence one that the canonical wording can produce? An exact inverse of `model.findings.wording`.

The networks are trained on canonical sentences alone, so that a sentence outside this language is a
broken one. Free text is read by `model.findings.extract`; this is the strict check of evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from model.findings.types import Finding, Laterality, Presence, Severity
from model.findings.wording import NO_FINDING, NO_FINDING_SENTENCE, normalised_report, sentence_for
from model.findings.wording_terms import DEVICES, NORMAL_SENTENCE, PLACES, TERM_ORDER

_LIST = re.compile(r"No ([a-z ,]+)\.")
_TITLES = ("Findings:", "Impression:")


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalReading:
    """A report read strictly: what its sentences state, and how many of them state nothing known."""

    findings: tuple[Finding, ...]
    sentences: int
    broken: int
    legal: bool  # the report is exactly what the canonical wording makes of its own findings


def read_canonical(text: str) -> CanonicalReading:
    """Reads a report whose sentences should all be canonical."""
    findings: dict[Finding, None] = {}
    sentences = broken = 0
    for sentence in split_sentences(text):
        sentences += 1
        stated = statement(sentence)
        broken += stated is None
        findings |= dict.fromkeys(stated or ())
    complete = bool(sentences) and not broken and normalised_report(findings).text == text.strip()
    return CanonicalReading(findings=tuple(findings), sentences=sentences, broken=broken, legal=complete)


def split_sentences(text: str) -> list[str]:
    """The sentences of a report without its titles; what lacks a full stop at the end is one too."""
    for title in _TITLES:
        text = text.replace(title, " ")
    return [part.strip() for part in re.findall(r"[^.]+\.?", text) if part.strip()]


def statement(sentence: str) -> tuple[Finding, ...] | None:
    """What a canonical sentence states; None where it is none."""
    known = _statements().get(sentence)
    if known is not None:
        return known
    listed = _LIST.fullmatch(sentence)
    if listed is None:
        return None
    names = re.split(r", | or ", listed.group(1))
    concepts = [_concepts().get(name) for name in names]
    if None in concepts or f"No {_joined(names)}." != sentence:
        return None
    return tuple(Finding(concept=c, presence=Presence.ABSENT) for c in concepts if c is not None)


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


@lru_cache(maxsize=1)
def _concepts() -> Mapping[str, str]:
    listed = [concept for concept in TERM_ORDER if concept not in NORMAL_SENTENCE]
    absent = {c: sentence_for(Finding(concept=c, presence=Presence.ABSENT)) for c in listed}
    return {sentence.removeprefix("No ").removesuffix("."): concept for concept, sentence in absent.items()}


@lru_cache(maxsize=1)
def _statements() -> Mapping[str, tuple[Finding, ...]]:
    """Every canonical sentence about one concept, without change since a prior."""
    statements: dict[str, tuple[Finding, ...]] = {
        NO_FINDING_SENTENCE: (Finding(concept=NO_FINDING, presence=Presence.PRESENT),)
    }
    sides, places, grades = (None, *Laterality), (None, *PLACES), (None, *Severity)
    for concept in TERM_ORDER:
        absent = Finding(concept=concept, presence=Presence.ABSENT)
        statements[sentence_for(absent)] = (absent,)
        for presence, side, place, grade in product(
            (Presence.PRESENT, Presence.INDETERMINATE), sides, places, grades
        ):
            finding = Finding(
                concept=concept, presence=presence, laterality=side, location=place, severity=grade
            )
            statements.setdefault(sentence_for(finding), (finding,))
    for device, side, place in product(sorted(DEVICES), sides, PLACES):
        pair = tuple(
            Finding(concept=c, presence=Presence.PRESENT, laterality=side, location=place)
            for c in (device, "malpositioned_device")
        )
        report = normalised_report(pair)
        if len(report.findings) == 1:
            statements.setdefault(report.findings[0], pair)
    return statements

"""The score of a drafted finding: the network's confidence in the sentence that states it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.shadow.calibration import Calibration, ScoredFinding
from agent.shadow.readings import ConceptPair
from model.findings.types import Finding, Presence
from model.findings.wording import NO_FINDING

# (text, least probability of a token in 0..1) of each sentence of a draft
Sentences = Sequence[tuple[str, float]]


def sentences_of(content: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the sentences of a stored draft with their confidence."""
    sections = content.get("sentences") or {}
    return [
        (str(one["text"]), float(one["confidence"]))
        for name in ("findings", "impression")
        for one in sections.get(name) or ()
    ]


def score_of(finding: Finding, sentences: Sentences) -> float | None:
    """Return the confidence of the first sentence that states a finding; None if no sentence is known to."""
    wanted = _plain(finding.evidence)
    if not wanted:
        return None
    plain = [(_plain(text), confidence) for text, confidence in sentences]
    for text, confidence in plain:
        if text == wanted:
            return confidence
    return next(
        (confidence for text, confidence in plain if text and (wanted in text or text in wanted)), None
    )


def scored(
    findings: Sequence[Finding], sentences: Sentences, pairs: Mapping[str, ConceptPair]
) -> list[ScoredFinding]:
    """Return the concepts that a draft states as present, each once with its highest score, and whether the
    signed report has it; those that the report calls uncertain are left out.
    """
    best: dict[str, float] = {}
    for finding in findings:
        score = score_of(finding, sentences) if _counts(finding) else None
        if score is not None:
            best[finding.concept] = max(score, best.get(finding.concept, 0.0))
    found = []
    for concept, score in sorted(best.items()):
        signed = pairs[concept].signed.positive if concept in pairs else False
        if signed is not None:
            found.append(ScoredFinding(concept=concept, score=score, signed=signed))
    return found


def probabilities(
    findings: Sequence[Finding], sentences: Sentences, calibration: Calibration
) -> tuple[float | None, ...]:
    """Return for each finding the probability that the signed report will have it; None for one that is not
    stated as present, or whose score is not known.
    """
    found = []
    for finding in findings:
        score = score_of(finding, sentences) if _counts(finding) else None
        found.append(None if score is None else calibration.probability(finding.concept, score))
    return tuple(found)


def _counts(finding: Finding) -> bool:
    return finding.presence is Presence.PRESENT and finding.concept != NO_FINDING


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()

"""Metrics of a set of drafts against the truth; every rate is 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rouge_score import rouge_scorer
from sklearn.metrics import f1_score

from model.findings.types import Finding, Presence

Findings = Sequence[Finding]


def macro_f1(drafted: Sequence[Findings], truth: Sequence[Findings]) -> float:
    """Mean over concepts of the F1 of *present*; a concept that is never truly present does not count."""
    concepts = sorted({f.concept for findings in truth for f in findings if f.presence is Presence.PRESENT})
    if not concepts:
        return 0.0
    said = np.array([[c in _present(findings) for c in concepts] for findings in drafted], dtype=int)
    true = np.array([[c in _present(findings) for c in concepts] for findings in truth], dtype=int)
    return float(f1_score(true, said, average="macro", zero_division=0.0))


def attribute_accuracy(drafted: Sequence[Findings], truth: Sequence[Findings]) -> dict[str, float]:
    """Share of correct sides, severities and places among the true findings that the draft contains.

    Keys `laterality`, `severity`, `location` and `all` (over the three together).
    """
    right: dict[str, list[bool]] = {"laterality": [], "severity": [], "location": []}
    for said, true in zip(drafted, truth, strict=True):
        by_concept = {f.concept: f for f in said if f.presence is Presence.PRESENT}
        for finding in true:
            match = by_concept.get(finding.concept)
            if finding.presence is not Presence.PRESENT or match is None:
                continue
            for name, verdicts in right.items():
                if getattr(finding, name) is not None:
                    verdicts.append(getattr(finding, name) == getattr(match, name))
    together = [verdict for verdicts in right.values() for verdict in verdicts]
    return {
        **{name: float(np.mean(verdicts)) if verdicts else 1.0 for name, verdicts in right.items()},
        "all": float(np.mean(together)) if together else 1.0,
    }


def rouge_l(drafts: Sequence[str], references: Sequence[str]) -> float:
    """Mean ROUGE-L F-measure (package rouge-score, without stemming)."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    pairs = zip(references, drafts, strict=True)
    return float(np.mean([scorer.score(reference, draft)["rougeL"].fmeasure for reference, draft in pairs]))


def _present(findings: Findings) -> set[str]:
    return {finding.concept for finding in findings if finding.presence is Presence.PRESENT}

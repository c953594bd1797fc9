"""Scores drafts against the reports written for the same studies.

NLTK and scikit-learn take seconds to import, so workers, which only draft, do not import this file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

from model.evaluate.own_data import Drafts
from model.findings.extract import extract_findings
from model.findings.metrics import attribute_accuracy, macro_f1, rouge_l
from model.findings.types import Finding, Presence

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """rates: by name, from 0 to 1 but for tokens per forward, reports and tokens per second."""

    rates: dict[str, float]
    by_concept: dict[str, float]


def score_drafts(drafts: Drafts) -> Scores:
    """Findings and attributes by our own extractor on both texts, ROUGE-L, BLEU, and the speed."""
    said = [extract_findings(text) for text in drafts.texts]
    true = [extract_findings(text) for text in drafts.references]
    attributes = attribute_accuracy(said, true)
    rates = {
        "macro F1": macro_f1(said, true),
        **{f"{name} accuracy": value for name, value in attributes.items()},
        "ROUGE-L": rouge_l(drafts.texts, drafts.references),
        **{f"BLEU-{n}": bleu(drafts.texts, drafts.references, n) for n in (1, 4)},
        "tokens per forward": drafts.tokens / max(1, drafts.forwards),
        "tokens per second": drafts.tokens / max(drafts.seconds, 1e-9),
        "reports per second": len(drafts.texts) / max(drafts.seconds, 1e-9),
    }
    return Scores(rates=rates, by_concept=concept_f1(said, true))


def concept_f1(said: Sequence[Sequence[Finding]], true: Sequence[Sequence[Finding]]) -> dict[str, float]:
    """F1 of *present* for each concept that any reference states as present."""
    drafted, written = ([_present(findings) for findings in texts] for texts in (said, true))
    scores = {}
    for concept in sorted(set().union(*written)):
        both = sum(concept in one and concept in other for one, other in zip(drafted, written, strict=True))
        stated = sum(concept in one for one in drafted) + sum(concept in one for one in written)
        scores[concept] = 2 * both / stated
    return scores


def _present(findings: Sequence[Finding]) -> set[str]:
    return {finding.concept for finding in findings if finding.presence is Presence.PRESENT}


def bleu(texts: Sequence[str], references: Sequence[str], order: int) -> float:
    """Corpus BLEU of so many words, lower case, one reference each (NLTK, smoothing method 1)."""
    return float(
        corpus_bleu(
            [[_TOKEN.findall(reference.lower())] for reference in references],
            [_TOKEN.findall(text.lower()) for text in texts],
            weights=[1 / order] * order,
            smoothing_function=SmoothingFunction().method1,
        )
    )

"""Drafts a set of studies, and scores the drafts against the reports written for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

from model.decode import DecodeOptions, decode_autoregressive, decode_fused
from model.findings.extract import extract_findings
from model.findings.metrics import attribute_accuracy, macro_f1, rouge_l
from model.findings.types import Finding, Presence
from model.network.checkpoint import Checkpoint
from model.network.config import Stage
from model.network.prompt import build_prompt, chosen_views, collate_prompts
from model.phantom.studies import Example

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Studies(Protocol):
    """Studies that can be drawn by number."""

    def __getitem__(self, index: int, /) -> Example: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """tokens, forwards: of all drafts; seconds: from prepared prompts to tokens, vision included."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    references: tuple[str, ...]
    tokens: int
    forwards: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """rates: by name, from 0 to 1 but for tokens per forward, reports and tokens per second."""

    rates: dict[str, float]
    by_concept: dict[str, float]


def draft_studies(
    checkpoint: Checkpoint, studies: Studies, numbers: range, batch: int, clock: Callable[[], float]
) -> Drafts:
    """Decodes studies, given by number, with the decoder of the network's stage, `batch` at a time."""
    return joined(
        [
            _draft_batch(checkpoint, [studies[i] for i in numbers[start : start + batch]], clock)
            for start in range(0, len(numbers), batch)
        ]
    )


def joined(parts: Sequence[Drafts]) -> Drafts:
    """Returns the drafts of all parts, in order."""
    return Drafts(
        ids=tuple(one for part in parts for one in part.ids),
        texts=tuple(one for part in parts for one in part.texts),
        references=tuple(one for part in parts for one in part.references),
        tokens=sum(part.tokens for part in parts),
        forwards=sum(part.forwards for part in parts),
        seconds=sum(part.seconds for part in parts),
    )


def _draft_batch(checkpoint: Checkpoint, group: Sequence[Example], clock: Callable[[], float]) -> Drafts:
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    decode = decode_autoregressive if config.stage is Stage.AR else decode_fused
    prompts = [
        build_prompt(
            tokenizer,
            config,
            [example.images[i] for i in chosen_views(example.views, config)],
            indication=(example.indication or "") if config.reads_context else "",
            comparison=(example.comparison or "") if config.reads_context else "",
        )
        for example in group
    ]
    begun = clock()
    collated = collate_prompts(prompts, config, tokenizer.pad_id)
    decoded = decode(checkpoint.backbone, collated, DecodeOptions.of(config))
    seconds = clock() - begun
    return Drafts(
        ids=tuple(example.id for example in group),
        texts=tuple(tokenizer.decode(report.tokens).strip() for report in decoded),
        references=tuple(example.answer for example in group),
        tokens=sum(report.length for report in decoded),
        forwards=sum(report.forwards for report in decoded),
        seconds=seconds,
    )


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

"""Drafts a set of studies, beside the reports written for them; `own_scores` compares the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from model.decode import DecodeOptions, decode_autoregressive, decode_fused
from model.network.checkpoint import Checkpoint
from model.network.config import Stage
from model.network.prompt import build_prompt, chosen_views, collate_prompts
from model.phantom.studies import Example


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

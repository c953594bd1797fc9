"""Measures the quality of a network's reports during training: a few held-out studies, decoded in one
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from model.findings.canonical import read_canonical
from model.findings.metrics import macro_f1
from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example
from model.train.batches import Collator, ExampleSet
from model.train.features import encode_studies, image_sizes
from model.train.generate import generate
from model.train.parallel import Processes
from model.train.rollout import roll_out

_AT_ONCE = 64  # studies decoded together

Decode = Callable[[Mapping[str, Tensor], Tensor], tuple[Tensor, float]]


class ValidationMaterials(Protocol):
    """The parts of a stage's materials that validation reads."""

    backbone: Backbone
    config: ModelConfig
    tokenizer: ReportTokenizer
    validation: ExampleSet
    collator: Collator


class Validator:
    """Decodes the first held-out examples, divided among the processes, and scores the texts."""

    def __init__(self, subject: ValidationMaterials, examples: int) -> None:
        self._subject = subject
        self._count = min(examples, len(subject.validation))

    def autoregressive(self, processes: Processes) -> dict[str, float]:
        """Quality of greedy autoregressive decoding."""
        subject = self._subject

        def decode(prompts: Mapping[str, Tensor], features: Tensor) -> tuple[Tensor, float]:
            tokens = generate(
                subject.backbone, subject.config, prompts, features, max_tokens=subject.config.max_tokens
            )
            return tokens, float(tokens.shape[1] * len(tokens))

        return self._score(decode, processes)

    def multistep(
        self,
        processes: Processes,
        threshold: float = 0.85,
        most_steps: int | None = None,
        tokens_per_step: int = 1,
    ) -> dict[str, float]:
        """Quality of block diffusion decoding; `most_steps=1` is one step per block."""
        subject = self._subject

        def decode(prompts: Mapping[str, Tensor], features: Tensor) -> tuple[Tensor, float]:
            found = roll_out(
                subject.backbone,
                subject.config,
                prompts,
                features,
                threshold=threshold,
                max_tokens=subject.config.max_tokens,
                most_steps=most_steps,
                tokens_per_step=tokens_per_step,
            )
            return found.tokens, float(found.forwards.sum())

        return self._score(decode, processes)

    def onestep(self, processes: Processes) -> dict[str, float]:
        """Quality of one forward per block."""
        return self.multistep(processes, most_steps=1)

    def _score(self, decode: Decode, processes: Processes) -> dict[str, float]:
        subject, device = self._subject, self._subject.backbone.device
        own = processes.share(self._count)
        texts: list[str] = []
        spent = 0.0
        was_training = subject.backbone.training
        subject.backbone.eval()
        for start in range(own.start, own.stop, _AT_ONCE):
            group = [subject.validation[i] for i in range(start, min(start + _AT_ONCE, own.stop))]
            images = [subject.collator.images(example) for example in group]
            prompts = subject.collator.prompts(group, image_sizes(images))
            features = torch.cat(encode_studies(subject.backbone, subject.collator, images))
            with torch.inference_mode():
                tokens, forwards = decode({k: v.to(device) for k, v in prompts.items()}, features)
            spent += forwards
            texts += [text_of(subject.tokenizer, subject.config, row) for row in tokens]
        subject.backbone.train(was_training)
        every = processes.gather((texts, spent))
        texts = [text for found, _ in every for text in found]
        references = [subject.validation.without_images(i) for i in range(self._count)]
        return score(texts, references) | {"forwards": sum(s for _, s in every) / max(1, len(texts))}


def text_of(tokenizer: ReportTokenizer, config: ModelConfig, tokens: Tensor) -> str:
    """The text up to the first end-of-text."""
    ids = tokens.tolist()
    if config.eos_token_id in ids:
        ids = ids[: ids.index(config.eos_token_id)]
    return tokenizer.decode(ids).strip()


def score(texts: Sequence[str], examples: Sequence[Example]) -> dict[str, float]:
    """Macro-F1 of the present findings, share of broken sentences, share of legal reports."""
    readings = [read_canonical(text) for text in texts]
    truths = [e.truth if e.truth is not None else read_canonical(e.answer).findings for e in examples]
    sentences = sum(reading.sentences for reading in readings)
    return {
        "macro_f1": macro_f1([reading.findings for reading in readings], truths),
        "unparseable": sum(reading.broken for reading in readings) / max(1, sentences),
        "legal": sum(reading.legal for reading in readings) / max(1, len(readings)),
        "exact": sum(t == e.answer for t, e in zip(texts, examples, strict=True)) / max(1, len(texts)),
    }

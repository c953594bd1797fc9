"""How good a network's reports are while it trains: a few held-out studies, decoded in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from model.findings.canonical import read_canonical
from model.findings.metrics import macro_f1
from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example
from model.train.batches import Collator, ExampleSet
from model.train.features import encode_studies
from model.train.generate import generate
from model.train.rollout import roll_out

Decode = Callable[[Mapping[str, Tensor], Tensor], tuple[Tensor, float]]


class Subject(Protocol):
    """The parts of a stage's materials that validation reads."""

    backbone: Backbone
    config: ModelConfig
    tokenizer: ReportTokenizer
    validation: ExampleSet
    collator: Collator


class Validator:
    """Decodes the first held-out examples and scores the texts against the truth or the reports."""

    def __init__(self, subject: Subject, examples: int) -> None:
        self._subject = subject
        self._examples = [subject.validation[i] for i in range(min(examples, len(subject.validation)))]

    def autoregressive(self) -> dict[str, float]:
        """Quality of greedy autoregressive decoding."""
        subject = self._subject

        def decode(prompts: Mapping[str, Tensor], features: Tensor) -> tuple[Tensor, float]:
            tokens = generate(
                subject.backbone, subject.config, prompts, features, max_tokens=subject.config.max_tokens
            )
            return tokens, float(tokens.shape[1] * len(tokens))

        return self._score(decode)

    def multistep(
        self, threshold: float = 0.85, most_steps: int | None = None, tokens_per_step: int = 1
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

        return self._score(decode)

    def onestep(self) -> dict[str, float]:
        """Quality of one forward per block."""
        return self.multistep(most_steps=1)

    def _score(self, decode: Decode) -> dict[str, float]:
        subject = self._subject
        texts: list[str] = []
        references: list[Example] = []
        forwards = 0.0
        was_training = subject.backbone.training
        subject.backbone.eval()
        for count in sorted({len(e.images) for e in self._examples}):
            group = [e for e in self._examples if len(e.images) == count]
            prompts = {k: v.to(subject.backbone.device) for k, v in subject.collator.prompts(group).items()}
            features = encode_studies(subject.backbone, subject.collator, subject.collator.pixels(group))
            tokens, spent = decode(prompts, features.flatten(0, 1))
            forwards += spent
            texts += [text_of(subject.tokenizer, subject.config, row) for row in tokens]
            references += group
        subject.backbone.train(was_training)
        return score(texts, references) | {"forwards": forwards / len(texts)}


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

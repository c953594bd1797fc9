"""The table: every decoder and every stage on the same held-out phantoms, in one run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from model.decode import (
    Decoded,
    DecodeOptions,
    Decoder,
    decode_autoregressive,
    decode_fused,
    decode_multistep,
    decode_onestep,
)
from model.evaluate.dictated import read_dictated
from model.evaluate.perplexity import perplexity
from model.evaluate.subjects import EvaluatedNetwork
from model.findings.canonical import read_canonical
from model.findings.extract import extract_findings
from model.findings.metrics import attribute_accuracy, macro_f1, rouge_l
from model.network.checkpoint import Checkpoint
from model.network.config import Stage
from model.network.prompt import Prompt, PromptBatch, build_prompt, collate_prompts
from model.phantom.studies import Example

_BATCH = 32
_TIMED = 8  # studies decoded one by one for the rate, after one for warming up


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """The network of a row in the table, and how it is decoded. `steps` and `threshold` as in
    `DecodeOptions`.

    dictated: the network was trained on dictated reports, and is compared with such reports.
    """

    name: str
    subject: str
    stage: Stage
    decode: Decoder
    block_size: int = 8
    steps: int = 1
    threshold: float | None = None
    dictated: bool = False


def _block_rows(size: int) -> tuple[TableRow, ...]:
    suffix = "" if size == 8 else f"-blk{size}"
    base, echo = f"base{suffix}", f"echo{suffix}"
    return (
        TableRow(
            name=f"Base multi-step blk{size}",
            subject=base,
            stage=Stage.BASE,
            decode=decode_multistep,
            block_size=size,
            steps=size,
            threshold=0.85,
        ),
        TableRow(
            name=f"Naive one-step blk{size}",
            subject=base,
            stage=Stage.BASE,
            decode=decode_fused,
            block_size=size,
        ),
        TableRow(
            name=f"ECHO blk{size}", subject=echo, stage=Stage.ECHO, decode=decode_fused, block_size=size
        ),
    )


def _variant(name: str, subject: str) -> TableRow:
    return TableRow(name=name, subject=subject, stage=Stage.ECHO, decode=decode_fused)


ROWS: tuple[TableRow, ...] = (
    TableRow(name="AR", subject="ar", stage=Stage.AR, decode=decode_autoregressive),
    *_block_rows(8),
    TableRow(name="ECHO blk8 unfused", subject="echo", stage=Stage.ECHO, decode=decode_onestep),
    TableRow(
        name="T3D blk8, 2 a step or sure",
        subject="t3d",
        stage=Stage.T3D,
        decode=decode_fused,
        steps=4,
        threshold=0.85,
    ),
    TableRow(name="T3D blk8, 2 a step", subject="t3d", stage=Stage.T3D, decode=decode_fused, steps=4),
    TableRow(name="T3D blk8, 4 a step", subject="t3d", stage=Stage.T3D, decode=decode_fused, steps=2),
    *_block_rows(4),
    *_block_rows(16),
    _variant("DCD KL blk8", "dcd-kl"),
    _variant("DCD KL + step weights blk8", "dcd-steps"),
    _variant("DCD KL + step weights + EOS blk8", "dcd-eos"),
    _variant("DCD reverse KL blk8", "dcd-reverse"),
    TableRow(
        name="Base multi-step blk8, dictated targets",
        subject="base-dictated",
        stage=Stage.BASE,
        decode=decode_multistep,
        steps=8,
        threshold=0.85,
        dictated=True,
    ),
    TableRow(
        name="ECHO blk8, dictated targets",
        subject="echo-dictated",
        stage=Stage.ECHO,
        decode=decode_fused,
        dictated=True,
    ),
)

# The rows compared over seeds: T3D with the steps that it was trained for, and with those of the first table.
SEED_ROWS = tuple(
    row
    for row in ROWS
    if row.name
    in (
        "AR",
        "Base multi-step blk8",
        "Naive one-step blk8",
        "ECHO blk8",
        "T3D blk8, 2 a step",
        "T3D blk8, 4 a step",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measured row; rates are 0 to 1, `speed_vs_ar` is None until AR has been measured.

    note: how the network's training differs.
    """

    name: str
    macro_f1: float
    attribute_accuracy: float
    unparseable: float
    legal: float
    rouge_l: float
    perplexity: float | None
    tokens_per_forward: float
    forwards_per_report: float
    tokens_per_second: float
    speed_vs_ar: float | None
    note: str = ""


class Networks(Protocol):
    """Where the networks of a table come from. shipped: the ECHO that the others are compared with."""

    shipped: Checkpoint

    def get(self, name: str, stage: Stage, block_size: int) -> EvaluatedNetwork | None: ...


class Table:
    """Measures rows on one set of held-out examples."""

    def __init__(self, subjects: Networks, examples: Sequence[Example], clock: Callable[[], float]) -> None:
        self._subjects = subjects
        self._examples = examples
        self._clock = clock
        shipped = subjects.shipped
        self._ar = subjects.get("ar", Stage.AR, shipped.config.block_size)
        self._ar_rate: float | None = None

    def measure(self, rows: Sequence[TableRow] = ROWS) -> Iterator[Measured]:
        """The rows whose networks have been built, in order."""
        for row in rows:
            subject = self._subjects.get(row.subject, row.stage, row.block_size)
            if subject is not None:
                yield self._measure(row, subject)

    def _measure(self, row: TableRow, subject: EvaluatedNetwork) -> Measured:
        options = DecodeOptions.of(subject.config, steps=row.steps, threshold=row.threshold)
        prompts = [build_prompt(subject.tokenizer, subject.config, e.images) for e in self._examples]
        decoded = self._decode(row, subject, prompts, options)
        texts = [subject.tokenizer.decode(report.tokens).strip() for report in decoded]
        found = [extract_findings(text) for text in texts]
        truths = [example.truth or () for example in self._examples]
        rate = self._rate(row, subject, prompts, options)
        if row.stage is Stage.AR:
            self._ar_rate = rate
        readings = [read_dictated(t, subject.tokenizer) if row.dictated else read_canonical(t) for t in texts]
        references = [e.dictated if row.dictated and e.dictated else e.answer for e in self._examples]
        sentences = sum(reading.sentences for reading in readings)
        forwards = sum(report.forwards for report in decoded)
        return Measured(
            name=row.name,
            macro_f1=macro_f1(found, truths),
            attribute_accuracy=attribute_accuracy(found, truths)["all"],
            unparseable=sum(reading.broken for reading in readings) / max(1, sentences),
            legal=sum(reading.legal for reading in readings) / len(readings),
            rouge_l=rouge_l(texts, references),
            perplexity=None if row.dictated else self._perplexity(decoded, prompts),
            tokens_per_forward=sum(report.length for report in decoded) / forwards,
            forwards_per_report=forwards / len(decoded),
            tokens_per_second=rate,
            speed_vs_ar=None if self._ar_rate is None else rate / self._ar_rate,
            note=subject.note,
        )

    def _decode(
        self, row: TableRow, subject: EvaluatedNetwork, prompts: Sequence[Prompt], options: DecodeOptions
    ) -> list[Decoded]:
        decoded: list[Decoded] = []
        for start in range(0, len(prompts), _BATCH):
            decoded += row.decode(subject.backbone, _batch(prompts[start : start + _BATCH], subject), options)
        return decoded

    def _rate(
        self, row: TableRow, subject: EvaluatedNetwork, prompts: Sequence[Prompt], options: DecodeOptions
    ) -> float:
        """Median tokens per second, batch 1, prefill included, without the vision tower."""
        rates = []
        for prompt in [prompts[0], *prompts[:_TIMED]]:
            batch = _batch([prompt], subject)
            started = self._clock()
            with torch.inference_mode():
                subject.backbone.encode_images(batch.pixel_values, batch.grid_thw)
            vision = self._clock() - started
            started = self._clock()
            report = row.decode(subject.backbone, batch, options)[0]
            rates.append(report.length / max(self._clock() - started - vision, 1e-9))
        return statistics.median(rates[1:])

    def _perplexity(self, decoded: Sequence[Decoded], prompts: Sequence[Prompt]) -> float | None:
        """Perplexity of the drafts under the AR network, end token included."""
        if self._ar is None:
            return None
        eos = self._ar.config.eos_token_id
        answers = [[*report.tokens, eos] for report in decoded]
        batches = [
            (_batch(prompts[s : s + _BATCH], self._ar), answers[s : s + _BATCH])
            for s in range(0, len(answers), _BATCH)
        ]
        return perplexity(self._ar.backbone, batches)


def _batch(prompts: Sequence[Prompt], subject: EvaluatedNetwork) -> PromptBatch:
    return collate_prompts(prompts, subject.config, subject.tokenizer.pad_id)

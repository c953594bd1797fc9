"""Two more measurements of `benchmarks/decode.py`: the cost of a late block, and of second readings."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace

import torch

from benchmarks.decode_models import SHIPPED, Workload
from benchmarks.decode_roofline import synchronise
from model.decode.engine import Engine
from model.drafts.study import ReportContext
from model.phantom import training_example
from model.reporting.reporter import Reporter, ReporterImage

EARLY, LATE = 2, 40
_AROUND = 1  # blocks on either side that count too
_FIRST_SEED = 9_000_000  # far from those of the training


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatness:
    """Milliseconds of a step at an early and at a late block of one report, and their ratio."""

    early_block: int
    late_block: int
    early_ms: float
    late_ms: float
    ratio: float


def measure_flatness(work: Workload, runs: int) -> Flatness:
    """Decodes long reports; the medians of the blocks around the second and around the fortieth."""
    size = work.scale.block_size
    length = (LATE + _AROUND + 1) * size
    config = replace(work.config, max_tokens=length)
    prompt = work.prompt(work.films(1)[0])
    engine = Engine(
        work.backbone,
        config,
        pad_id=work.tokenizer.pad_id,
        slots=1,
        longest_prompt=len(prompt.input_ids),
        longest_report=length,
    )
    times: dict[int, list[float]] = {}
    for _ in range(runs):
        engine.submit(prompt, replace(work.options, max_tokens=length))
        engine.admit()
        block = 1  # the first came with the prefill
        while engine.busy:
            synchronise(work.backbone.device)
            started = time.perf_counter()
            engine.advance()
            synchronise(work.backbone.device)
            block += 1
            times.setdefault(block, []).append(time.perf_counter() - started)
    early = _median(times, range(EARLY, EARLY + 2 * _AROUND + 1))
    late = _median(times, range(LATE - _AROUND, LATE + _AROUND + 1))
    return Flatness(
        early_block=EARLY, late_block=LATE, early_ms=1e3 * early, late_ms=1e3 * late, ratio=late / early
    )


def _median(times: dict[int, list[float]], blocks: range) -> float:
    return statistics.median(seconds for block in blocks for seconds in times[block])


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """The cost of the second readings of doubtful reports, with the shipped checkpoint on phantoms."""

    studies: int
    repeated_studies: int
    blocks: int
    repeated_blocks: int
    forwards: int
    repeat_forwards: int

    @property
    def words(self) -> str:
        """One line."""
        return (
            f"decoded again: {self.repeated_studies} of {self.studies} reports, {self.repeated_blocks} of "
            f"{self.blocks} blocks, for {self.repeat_forwards} of {self.forwards} forwards"
        )


def measure_repeats(studies: int, device: torch.device) -> Repeats:
    """Drafts phantoms like the worker, and adds up the counts stated in the drafts."""
    reporter = Reporter.load(SHIPPED, "cuda" if device.type == "cuda" else "cpu")
    examples = [training_example(_FIRST_SEED + number) for number in range(studies)]
    drafts = reporter.draft_many(
        [
            (
                [ReporterImage(pixels=p, view=v) for p, v in zip(one.images, one.views, strict=True)],
                ReportContext(),
            )
            for one in examples
        ]
    )
    return Repeats(
        studies=studies,
        repeated_studies=sum(draft.repeated_blocks > 0 for draft in drafts),
        blocks=sum(draft.blocks for draft in drafts),
        repeated_blocks=sum(draft.repeated_blocks for draft in drafts),
        forwards=sum(draft.forwards for draft in drafts),
        repeat_forwards=sum(draft.repeat_forwards for draft in drafts),
    )

"""The decoders of `benchmarks/decode.py`, each timed from prompts to tokens, and the resulting rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import psutil
import torch
from transformers import GenerationConfig

from benchmarks.decode_models import Workload
from benchmarks.decode_roofline import Forward, Machine, floor_seconds, synchronise
from model.decode import decode_multistep
from model.decode.context import DecodeContext
from model.decode.engine import Engine
from model.decode.steps import Method
from model.errors import OutOfMemoryError
from model.network.prompt import Prompt, collate_prompts
from model.reporting.quantization import agreement

GENERATE, MULTISTEP = "generate", "multi-step"
NAMES = {
    Method.AUTOREGRESSIVE: "autoregressive",
    Method.UNFUSED: "one-step unfused",
    Method.FUSED_APART: "fused",
    Method.FUSED: "fused, first block in prefill",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One run of a batch, in seconds: vision and prefill, then decoding. forwards: of the latter."""

    front: float
    decode: float
    forwards: int
    tokens: tuple[tuple[int, ...], ...]


class Contestant(Protocol):
    """A decoder of a batch of prompts."""

    name: str

    def run(self, prompts: Sequence[Prompt], tokens: int) -> Timing:
        """Decodes `tokens` tokens for each prompt."""

    def forward(self) -> Forward:
        """The size of one decoding forward, for computing its minimum time."""


class EngineContestant:
    """The engine with one of its methods."""

    def __init__(self, work: Workload, method: Method, batch: int, longest_prompt: int) -> None:
        self.name, self._method, self._work, self._batch = NAMES[method], method, work, batch
        self.engine = Engine(
            work.backbone,
            work.config,
            pad_id=work.tokenizer.pad_id,
            slots=batch,
            longest_prompt=longest_prompt,
            method=method,
        )
        self._columns = work.columns(longest_prompt)

    def run(self, prompts: Sequence[Prompt], tokens: int) -> Timing:
        """Vision and prefill are what the engine does before its first step."""
        device, options = self._work.backbone.device, replace(self._work.options, max_tokens=tokens)
        synchronise(device)
        started = time.perf_counter()
        for prompt in prompts:
            self.engine.submit(prompt, options)
        self.engine.admit()
        synchronise(device)
        admitted = time.perf_counter()
        reports = {}
        while self.engine.busy:
            for ticket, report in self.engine.advance():
                if isinstance(report, OutOfMemoryError):
                    raise report
                reports[ticket] = report
        ended = time.perf_counter()
        ordered = [reports[ticket] for ticket in sorted(reports)]
        return Timing(
            front=admitted - started,
            decode=ended - admitted,
            forwards=ordered[0].forwards - 1,
            tokens=tuple(report.tokens for report in ordered),
        )

    def forward(self) -> Forward:
        """2B rows fused, B and B unfused, one token."""
        size = self._work.scale.block_size
        rows = {Method.AUTOREGRESSIVE: 1, Method.UNFUSED: size}.get(self._method, 2 * size)
        return Forward(
            rows=self._batch * rows,
            head_rows=self._batch * min(rows, size),
            slots=self._batch,
            columns=self._columns,
        )


class MultistepContestant:
    """The published decoding of the base model: B / 2 steps per block, and a commit."""

    name = MULTISTEP

    def __init__(self, work: Workload, batch: int, longest_prompt: int) -> None:
        self._work, self._batch, self._longest = work, batch, longest_prompt

    def run(self, prompts: Sequence[Prompt], tokens: int) -> Timing:
        """The front is timed separately, and subtracted from the whole."""
        work = self._work
        batch = collate_prompts(prompts, work.config, work.tokenizer.pad_id)
        options = replace(work.options, steps=work.scale.block_size // 2, max_tokens=tokens)
        front, _ = timed(lambda: DecodeContext(work.backbone, batch, options).prefill(), work)
        whole, reports = timed(lambda: decode_multistep(work.backbone, batch, options), work)
        return Timing(
            front=front,
            decode=whole - front,
            forwards=reports[0].forwards - 1,
            tokens=tuple(report.tokens for report in reports),
        )

    def forward(self) -> Forward:
        """B rows."""
        rows = self._batch * self._work.scale.block_size
        columns = self._work.columns(self._longest)
        return Forward(rows=rows, head_rows=rows, slots=self._batch, columns=columns)


class GenerateContestant:
    """transformers' own `generate`, greedy, with its own cache."""

    name = GENERATE

    def __init__(self, work: Workload, batch: int, longest_prompt: int) -> None:
        self._work, self._batch, self._longest = work, batch, longest_prompt

    def run(self, prompts: Sequence[Prompt], tokens: int) -> Timing:
        """One token is the front; the others are decoding."""
        work = self._work
        front, _ = timed(lambda: self._generate(prompts, 1), work)
        whole, written = timed(lambda: self._generate(prompts, tokens), work)
        return Timing(
            front=front,
            decode=whole - front,
            forwards=tokens - 1,
            tokens=tuple(tuple(row[-tokens:]) for row in written.tolist()),
        )

    def _generate(self, prompts: Sequence[Prompt], tokens: int) -> Any:
        work = self._work
        network = work.reference.network
        batch = collate_prompts(prompts, work.config, work.tokenizer.pad_id).to(work.reference.device)
        return network.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.valid.long(),
            pixel_values=batch.pixel_values,
            image_grid_thw=batch.grid_thw.to(batch.input_ids.device),
            mm_token_type_ids=(batch.input_ids == work.config.shape.image_token_id).int(),
            generation_config=GenerationConfig(
                do_sample=False,
                min_new_tokens=tokens,  # the network's own end token would end a report before the others'
                max_new_tokens=tokens,
                pad_token_id=work.tokenizer.pad_id,
            ),
        )

    def forward(self) -> Forward:
        """One token."""
        columns = self._work.columns(self._longest)
        return Forward(rows=self._batch, head_rows=self._batch, slots=self._batch, columns=columns)


def timed(work: Callable[[], Any], workload: Workload) -> tuple[float, Any]:
    """Seconds and result of some work without gradients."""
    device = workload.backbone.device
    synchronise(device)
    started = time.perf_counter()
    with torch.inference_mode():
        result = work()
    synchronise(device)
    return time.perf_counter() - started, result


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One decoder at one batch size; the times are medians. forwards_per_report: prefill included.

    report_ms: a report from its pixels to its tokens, as a share of the batch's time. floor_ms: the minimum
    time of one forward on this machine, measured at its best moment; roofline: that divided by the fastest
    run, in 0..1 (more if the machine was slower during that measurement). memory_mb: of the device; on a CPU
    of the whole process.
    """

    decoder: str
    batch: int
    runs: int
    forwards_per_report: int
    ms_per_forward: float
    tokens_per_second: float
    pixels_ms: float
    vision_ms: float
    prefill_ms: float
    decode_ms: float
    report_ms: float
    reports_per_second: float
    memory_mb: float
    floor_ms: float
    roofline: float


def contestants(work: Workload, batch: int, longest_prompt: int) -> list[Contestant]:
    """All decoders, the slowest first."""
    return [contestant(name, work, batch, longest_prompt) for name in ORDER]


ORDER = (
    GENERATE,
    NAMES[Method.AUTOREGRESSIVE],
    MULTISTEP,
    NAMES[Method.UNFUSED],
    NAMES[Method.FUSED_APART],
    NAMES[Method.FUSED],
)


def contestant(name: str, work: Workload, batch: int, longest_prompt: int) -> Contestant:
    """One decoder by its name in `ORDER`."""
    if name == GENERATE:
        return GenerateContestant(work, batch, longest_prompt)
    if name == MULTISTEP:
        return MultistepContestant(work, batch, longest_prompt)
    method = next(method for method, known in NAMES.items() if known == name)
    return EngineContestant(work, method, batch, longest_prompt)


def measure_batch(
    work: Workload,
    machine: Machine,
    batch: int,
    *,
    runs: int,
    seconds: float,
    said: Callable[[str], None],
    racing: Callable[[Workload, int, int], list[Contestant]] | None = None,
) -> tuple[list[Row], float]:
    """Rows of one batch size, with alternating decoders; and the agreement of fused and unfused tokens.

    runs: the most turns; fewer, but at least one, if `seconds` have passed.
    """
    films = work.films(batch)
    started = time.perf_counter()
    prompts = [work.prompt(study) for study in films]
    pixels = (time.perf_counter() - started) / batch
    longest = max(len(prompt.input_ids) for prompt in prompts)
    chosen = (racing or contestants)(work, batch, longest)
    for one in chosen:
        said(f"batch {batch}: warming up {one.name}")
        one.run(prompts, 2 * work.scale.block_size)
    images = collate_prompts(prompts, work.config, work.tokenizer.pad_id).to(work.backbone.device)
    vision: list[float] = []
    timings: dict[str, list[Timing]] = {one.name: [] for one in chosen}
    memory: dict[str, float] = {}
    begun = time.perf_counter()
    for turn in range(runs):
        if turn and time.perf_counter() - begun > seconds * turn / (turn + 1):
            break
        vision.append(
            timed(lambda: work.backbone.encode_images(images.pixel_values, images.grid_thw), work)[0]
        )
        for one in chosen:
            said(f"batch {batch}: turn {turn + 1} of {runs}, {one.name}")
            before = _start_memory(work)
            timings[one.name].append(one.run(prompts, work.scale.report_tokens))
            memory[one.name] = _peak_memory(work, before)
    look = statistics.median(vision)
    rows = [
        _row(work, machine, one, batch, timings[one.name], pixels, look, memory[one.name]) for one in chosen
    ]
    last = {name: found[-1].tokens for name, found in timings.items()}
    fused, unfused = last.get(NAMES[Method.FUSED]), last.get(NAMES[Method.UNFUSED])
    return rows, 1.0 if fused is None or unfused is None else agreement(fused, unfused)


def _row(
    work: Workload,
    machine: Machine,
    one: Contestant,
    batch: int,
    timings: Sequence[Timing],
    pixels: float,
    vision: float,
    memory: float,
) -> Row:
    front = statistics.median(timing.front for timing in timings)
    decode = statistics.median(timing.decode for timing in timings)
    whole = statistics.median(timing.front + timing.decode for timing in timings) / batch + pixels
    forwards = timings[0].forwards
    floor = floor_seconds(machine, one.forward())
    if one.name == NAMES[Method.UNFUSED]:  # every other forward is a commit, which needs no head
        commit = floor_seconds(machine, replace(one.forward(), head_rows=0))
        floor = (floor + commit) / 2
    return Row(
        decoder=one.name,
        batch=batch,
        runs=len(timings),
        forwards_per_report=forwards + 1,
        ms_per_forward=1e3 * decode / forwards,
        tokens_per_second=batch * work.scale.report_tokens / decode,
        pixels_ms=1e3 * pixels,
        vision_ms=1e3 * vision / batch,
        prefill_ms=1e3 * max(0.0, front - vision) / batch,
        decode_ms=1e3 * decode / batch,
        report_ms=1e3 * whole,
        reports_per_second=1 / whole,
        memory_mb=memory,
        floor_ms=1e3 * floor,
        roofline=floor * forwards / min(timing.decode for timing in timings),
    )


def _start_memory(work: Workload) -> float:
    if work.backbone.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    return 0.0


def _peak_memory(work: Workload, before: float) -> float:
    """MiB: on a GPU one copy of the weights plus what the run took in addition to what was allocated
    before it.
    """
    if work.backbone.device.type == "cuda":
        weights = sum(p.numel() * p.element_size() for p in work.reference.parameters())
        return (weights + torch.cuda.max_memory_allocated() - before) / 2**20
    return float(psutil.Process().memory_info().rss) / 2**20

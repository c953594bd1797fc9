"""Measures how fast reports are decoded: six decoders compared with each other and with the machine's limits.

    python benchmarks/decode.py [--config tiny|mid|7b] [--device cpu|cuda] [--batch N ...] [--quick]
                                [--dtype float32|bfloat16] [--threads N] [--plot FILE.png] [--json]

In one process, taking turns, medians: transformers' `generate`; our autoregressive decoder with a static
cache (and CUDA graphs on a GPU), the strong baseline; several steps per block; one step unfused; fused; fused
with the first block in the prefill. Every decoder generates the same number of tokens. The machine's
bandwidth and matmul rates are measured first; the minimum time of a forward follows from them.

`tiny` is the shipped checkpoint; `mid` has 200 million random weights; `7b` has random weights in the
shape of Lingshu-7B and needs a GPU.

With `--json` the last line is `{config, device, dtype, threads, load, machine, rows, agreement, flat,
repeats, ratios}`; the ratios are those of the smallest batch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from rich.console import Console

from benchmarks.decode_extra import Flatness, Repeats, measure_flatness, measure_repeats
from benchmarks.decode_models import make_workload
from benchmarks.decode_roofline import REHEARSED, WORKING_SET, Machine, makes_to_compare
from benchmarks.decode_run import Row, measure_batch
from benchmarks.decode_show import plot, ratios_of, show
from model.errors import DeviceError
from model.network.device import DeviceChoice, select_device
from model.network.inference import choose_linear

BATCHES = (1, 4, 8, 16, 32)
QUICK_BATCHES = (1, 8)
RUNS = {1: 9, 4: 3, 8: 3}  # and two of a larger batch
SECONDS, QUICK_SECONDS = 250.0, 40.0  # that all batch sizes share, in proportion to their reports and four


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All measurements. agreement: the share of tokens that fused and unfused decoding have in common."""

    machine: Machine
    rows: list[Row]
    agreement: float
    flat: Flatness
    repeats: Repeats | None


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", choices=("tiny", "mid", "7b", "toy"), default="mid", help="the network")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs")
    parser.add_argument("--batch", type=int, nargs="+", metavar="N", help="reports in decoding at once")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="the device's own by default")
    parser.add_argument("--threads", type=int, help="of torch, on a CPU; as many as cores by default")
    parser.add_argument("--quick", action="store_true", help="batch 1 and 8, few runs: about a minute")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a picture of the rows")
    parser.add_argument("--json", action="store_true", help="a JSON object as the last line")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, draw."""
    asked = parse(arguments)
    if asked.config == "7b" and asked.device == "cpu":
        raise SystemExit(
            "7b needs a GPU (15 GB of weights, 2,000-token prompts): --device cuda, or --config mid"
        )
    try:
        choice = select_device(asked.device)
    except DeviceError as error:
        raise SystemExit(str(error)) from error
    if asked.threads:
        torch.set_num_threads(asked.threads)
    dtype = getattr(torch, asked.dtype) if asked.dtype else choice.dtype
    load, console = os.getloadavg(), Console(width=None if sys.stdout.isatty() else 180)
    result = measure(asked, choice, dtype, console)
    ratios = ratios_of(result.rows)
    show(console, result.rows, ratios, result.flat, result.repeats, result.machine)
    if asked.plot is not None:
        plot(result.rows, asked.plot)
    if asked.json:
        about = {
            "config": asked.config,
            "device": choice.reason,
            "dtype": str(dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "load": load,
        }
        print(json.dumps(about | _as_json(result) | {"ratios": ratios}))


def measure(asked: argparse.Namespace, choice: DeviceChoice, dtype: torch.dtype, console: Console) -> Result:
    """Measures every batch size in turn, reporting progress."""
    batches = asked.batch or (QUICK_BATCHES if asked.quick else BATCHES)
    seconds = QUICK_SECONDS if asked.quick else SECONDS
    with _saying(console) as say:
        say("building the network")
        work = make_workload(asked.config, choice.device, dtype)
        machine = Machine(
            device=choice.device,
            dtype=dtype,
            shape=work.config.shape,
            makes=makes_to_compare(choose_linear(choice.device)),
            working_set=REHEARSED if asked.config == "toy" else WORKING_SET,
        )
        say("measuring the machine")
        machine.measure_bandwidth()
        rows, agreed = [], []
        for batch in batches:
            try:
                found, same = measure_batch(
                    work,
                    machine,
                    batch,
                    runs=2 if asked.quick else RUNS.get(batch, 2),
                    seconds=seconds * (batch + 4) / sum(one + 4 for one in batches),
                    said=say,
                )
            except torch.OutOfMemoryError:
                console.print(f"batch {batch} does not fit into the memory; left out")
                continue
            rows += found
            agreed.append(same)
        say("a long report")
        flat = measure_flatness(work, 1 if asked.quick else 3)
        repeats = None
        if asked.config == "tiny":
            say("second readings")
            repeats = measure_repeats(8 if asked.quick else 48, choice.device)
    return Result(machine=machine, rows=rows, agreement=min(agreed), flat=flat, repeats=repeats)


@contextmanager
def _saying(console: Console) -> Iterator[Callable[[str], None]]:
    """Reports progress: in place on a terminal, otherwise as lines on standard error."""
    if console.is_terminal:
        with console.status("") as status:
            yield status.update
    else:
        yield lambda text: print(text, file=sys.stderr, flush=True)


def _as_json(result: Result) -> dict[str, Any]:
    machine = result.machine
    return {
        "machine": {
            "bandwidth_gb_s": machine.bandwidth / 1e9,
            "gflops_by_rows": {rows: rate / 1e9 for rows, rate in sorted(machine.rates.items())},
        },
        "rows": [asdict(row) for row in result.rows],
        "agreement": result.agreement,
        "flat": asdict(result.flat),
        "repeats": None if result.repeats is None else asdict(result.repeats),
    }


if __name__ == "__main__":
    main()

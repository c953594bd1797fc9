"""Measures every figure that needs a GPU, in one call of bounded time, written row by row.

    python benchmarks/gpu_figures.py [--config 7b|tiny|toy] [--device cuda|cpu] [--seconds N] [--output FILE]
    python benchmarks/gpu_figures.py --rehearse [--output FILE]

Order: the tests in tests/gpu; decoding at batch 1, 8 and 32 (transformers' generate and several steps a block
at 1 and 8, once); the worker's throughput; int8; one step of RAD and of DCD with adapters; each with its peak
memory. A row is written as soon as it is measured. A measurement that is left out is a row too, with the
reason: no time, no memory, or nothing to run it on.

`--rehearse` runs the same code on a CPU with toy sizes, and writes to a separate file. Exit status 1 means
that a section of the result is missing or lacks one of its keys.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.decode_models import Workload, make_workload
from benchmarks.decode_roofline import REHEARSED, WORKING_SET, Machine, makes_to_compare
from benchmarks.decode_run import GENERATE, MULTISTEP, ORDER, Contestant, contestant, measure_batch
from benchmarks.gpu_quantized import fp8_row, int8_row
from benchmarks.gpu_training import training_rows
from model.errors import DeviceError, OutOfMemoryError
from model.network.device import select_device
from model.network.inference import choose_linear

Measure = Callable[[], dict[str, Any]]
BATCHES = (1, 8, 32)
_SLOW_UP_TO = 8  # the batch up to which generate and several steps per block are run
_ROOT = Path(__file__).resolve().parent.parent
_DECODED = frozenset(
    {"decoder", "batch", "forwards_per_report", "ms_per_forward", "tokens_per_second", "prefill_ms",
     "decode_ms", "report_ms", "reports_per_second", "memory_mb", "floor_ms", "roofline"}
)  # fmt: skip
_STEP = frozenset({"studies", "sequence", "step_seconds"})
# The result's sections with the keys that each must have, in addition to `peak_gib` and `seconds`.
SECTIONS = {
    "tests/gpu": frozenset({"passed", "last_line"}),
    **{
        f"decode, batch {batch}, {decoder}": _DECODED
        for batch in BATCHES
        for decoder in ORDER
        if batch <= _SLOW_UP_TO or decoder not in (GENERATE, MULTISTEP)
    },
    "int8": frozenset({"report_seconds", "forwards"}),
    "fp8": frozenset({"fp8_us", "bfloat16_us"}),
    "worker throughput": frozenset({"worker"}),
    "rad step, LoRA": _STEP,
    "dcd step, LoRA": _STEP,
}
# What a rehearsal leaves out, because it means nothing without a GPU or a trained network.
_NOT_REHEARSED = ("tests/gpu", "worker throughput")


class _TimeOver(Exception):
    """The time of the whole call is up."""


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise _TimeOver


class Book:
    """The result file: an object with `rows`, complete after every row."""

    def __init__(self, file: Path, about: dict[str, Any], seconds: float) -> None:
        self._file, self._content = file, {**about, "rows": []}
        self._ends = time.monotonic() + seconds
        file.parent.mkdir(parents=True, exist_ok=True)
        self._write()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._ends - time.monotonic()

    def run(self, name: str, needs: float, measure: Measure) -> None:
        """Measures a row, or writes why it was left out. needs: the least seconds that it takes."""
        if self.left < needs:
            self._add({"name": name, "skipped": f"{self.left:.0f} s are left, it needs {needs:.0f}"})
            return
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(self.left, 0.1))
        try:
            found = measure()
        except (torch.OutOfMemoryError, OutOfMemoryError):
            found = {"skipped": "it does not fit into the device's memory"}
        except (_TimeOver, subprocess.TimeoutExpired):
            found = {"skipped": "the time was up before it was done"}
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
        _free()
        seconds = round(time.monotonic() - started, 1)
        self._add({"name": name, "seconds": seconds, "peak_gib": peak, **found})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What has been written so far."""
        return list(self._content["rows"])

    def _add(self, row: dict[str, Any]) -> None:
        self._content["rows"].append(row)
        self._write()
        print(json.dumps(row), flush=True)

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._file)


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", choices=("7b", "mid", "tiny", "toy"), default="7b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--seconds", type=float, default=470.0, help="after which it ends, whatever is under way"
    )
    parser.add_argument("--rehearse", action="store_true", help="the same code on a CPU in a toy shape")
    parser.add_argument("--output", type=Path, help="benchmarks/results/gpu-7b.json, or a temporary file")
    asked = parser.parse_args(arguments)
    if asked.rehearse:
        asked.config, asked.device = "toy", "cpu"
    if asked.output is None:
        temporary = Path(tempfile.gettempdir()) / "gpu-7b.rehearsal.json"
        real = asked.device == "cuda"
        asked.output = _ROOT / "benchmarks" / "results" / "gpu-7b.json" if real else temporary
    return asked


def main(arguments: list[str] | None = None) -> None:
    """Measures row by row until all is done or the time is up."""
    asked = parse(arguments)
    try:
        choice = select_device(asked.device)
    except DeviceError as error:
        raise SystemExit(
            f"gpu-figures needs a CUDA device: {error}. Nothing was measured and nothing was written; "
            "--rehearse runs the same code on this machine"
        ) from error
    if asked.config == "7b" and asked.device == "cpu":
        raise SystemExit("7b needs a GPU; --rehearse runs the same code on a CPU")
    about = {"config": asked.config, "device": choice.reason, "torch": torch.__version__}
    signal.signal(signal.SIGALRM, _ring)
    book = Book(asked.output, about, asked.seconds)
    book.run("tests/gpu", 60 if asked.device == "cuda" else 0, lambda: _gpu_tests(asked.device))
    for name, needs, measure in _decoding(asked.config, choice.device, choice.dtype, book):
        book.run(name, needs, measure)
    book.run("int8", 30 if asked.device == "cuda" else 0, lambda: int8_row(asked.config, choice))
    book.run("fp8", 5 if asked.device == "cuda" else 0, lambda: fp8_row(choice.device))
    book.run("worker throughput", 20, lambda: _worker(asked.config, asked.device))
    for name, measure in training_rows(asked.config, choice.device, choice.dtype):
        book.run(name, 20 if asked.device == "cuda" else 0, measure)
    lacking = what_lacks(book.rows, _NOT_REHEARSED if asked.device == "cpu" else ())
    if asked.rehearse and lacking:
        raise SystemExit("the rehearsal failed:\n" + "\n".join(lacking))


def what_lacks(rows: list[dict[str, Any]], may_be_skipped: Sequence[str]) -> list[str]:
    """The sections that are missing in a result, or lack some of their keys."""
    found = {row["name"]: row for row in rows}
    lacking = []
    for name, keys in SECTIONS.items():
        row = found.get(name, {"skipped": "it is not there"})
        if "skipped" in row and name in may_be_skipped:
            continue
        missing = sorted(keys - row.keys())
        if missing:
            lacking.append(f"{name}: {row.get('skipped', 'lacks ' + ', '.join(missing))}")
    return lacking


def _gpu_tests(device: str) -> dict[str, Any]:
    if device != "cuda":
        return {"skipped": "there is no CUDA device"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"],
        cwd=_ROOT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    return {"passed": done.returncode == 0, "last_line": done.stdout.strip().splitlines()[-1:]}


def _decoding(
    config: str, device: torch.device, dtype: torch.dtype, book: Book
) -> Iterator[tuple[str, float, Measure]]:
    """One row for each batch size; the slow decoders are left out of the largest."""
    state: dict[str, Any] = {}

    def workload() -> Workload:
        if not state:
            state["work"] = make_workload(config, device, dtype)
            state["machine"] = Machine(
                device=device,
                dtype=dtype,
                shape=state["work"].config.shape,
                makes=makes_to_compare(choose_linear(device)),
                working_set=REHEARSED if config == "toy" else WORKING_SET,
            )
            state["machine"].measure_bandwidth()
        return state["work"]  # type: ignore[no-any-return]

    for batch in BATCHES:
        for decoder in ORDER:
            if batch > _SLOW_UP_TO and decoder in (GENERATE, MULTISTEP):
                continue

            def measure(batch: int = batch, decoder: str = decoder) -> dict[str, Any]:
                work = workload()
                racing: list[Contestant] = []  # one decoder, and so one cache, is alive at a time

                def build(work: Workload, batch: int, longest: int) -> list[Contestant]:
                    racing.append(contestant(decoder, work, batch, longest))
                    return racing

                (row,), _ = measure_batch(
                    work,
                    state["machine"],
                    batch,
                    runs=2,
                    seconds=min(40.0, book.left),
                    said=_say,
                    racing=build,
                )
                slots = getattr(getattr(racing[0], "engine", None), "slots", batch)
                halved = {"note": f"{slots} of {batch} slots fitted"} if slots < batch else {}
                return {**_plain(row), **halved}

            yield f"decode, batch {batch}, {decoder}", 12 if device.type == "cuda" else 0, measure
    state.clear()


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _worker(config: str, device: str) -> dict[str, Any]:
    if config != "tiny" and device == "cpu":
        return {"skipped": "the worker's benchmark runs the shipped checkpoint on a CPU: --config tiny"}
    command = [sys.executable, str(_ROOT / "benchmarks" / "worker.py"), "--json"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode:
        return {"skipped": f"benchmarks/worker.py ended with {done.returncode}"}
    return {"worker": json.loads(done.stdout.strip().splitlines()[-1])}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

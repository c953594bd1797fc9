"""Measures whether a training run waits for its data: the time to its first step, and the share of time spent
waiting.

    python benchmarks/training_input.py [--config toy|mid] [--lines N] [--films N] [--film SIDE] [--steps N]
                                        [--batch N] [--workers N] [--threads N] [--json]

Writes a data file of `--lines` studies over `--films` JPEG files in a temporary folder, and trains RAD on
it with random weights of the named size. The clock runs from the start of the process, including imports.
Then batches are built without a network, which shows how many images per second the workers can prepare.

With `--json` the last line is `{config, lines, megabytes, indexed_s, first_step_s, first_step_cpu_s, steps,
step_s, waiting, images_per_second_needed, images_per_second_prepared}`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.decode_models import Workload, make_workload
from model.train.config import JsonLinesData, RadConfig
from model.train.json_lines import JsonLinesExamples
from model.train.loader import loading
from model.train.loop import Machine, train
from model.train.parallel import Processes
from model.train.stages import Materials, RadStage, Setting

_REPORT = {
    "indication": "Cough and fever.",
    "findings": "The lungs are clear. No pleural effusion or pneumothorax. The heart is not enlarged. " * 3,
    "impression": "No acute cardiopulmonary process.",
    "priors": [{"date": "2150", "report": "No acute cardiopulmonary process. " * 12}],
}


def write_studies(folder: Path, lines: int, films: int, side: int) -> Path:
    """A data file whose studies share a few films."""
    rng = np.random.default_rng(1)
    for number in range(films):
        values = rng.integers(0, 256, (side // 8, side // 8), dtype=np.uint8)
        Image.fromarray(values).resize((side, side)).save(folder / f"{number}.jpg", quality=90)
    file = folder / "train.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number in range(lines):
            line = {"id": number, "images": [f"{number % films}.jpg"], **_REPORT}
            stream.write(json.dumps(line) + "\n")
    return file


def measure(work: Workload, file: Path, arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Trains for a few steps, then only builds batches."""
    began = psutil.Process().create_time()
    indexing = time.perf_counter()
    examples = JsonLinesExamples.open(JsonLinesData(file=file))
    indexed = time.perf_counter() - indexing
    processes = Processes.join()
    materials = Materials(
        backbone=work.backbone,
        config=work.config,
        tokenizer=work.tokenizer,
        examples=examples,
        validation=JsonLinesExamples.open(JsonLinesData(file=file, limit=1)),
        seed=1,
        setting=Setting(processes=processes, features="none"),
    )
    section = RadConfig(
        steps=arguments.steps, batch=arguments.batch, rate=1e-4, warmup=1, validate_every=10**6,
        validation_examples=1, save_every=10**6,
    )  # fmt: skip
    stage = RadStage(materials, section)
    records: list[tuple[float, float, Mapping[str, float | int | str]]] = []

    def note(record: Mapping[str, float | int | str]) -> None:
        records.append((time.time(), time.process_time(), record))

    machine = Machine(processes=processes, clock=time.perf_counter, workers=arguments.workers)
    train(stage, section, folder / "run", machine=machine, report=note)
    first, last = records[0], records[-2]  # the last step also validates
    trained = last[0] - first[0]
    return {
        "lines": len(examples),
        "megabytes": round(file.stat().st_size / 1e6, 1),
        "indexed_s": round(indexed, 2),
        "first_step_s": round(first[0] - began - arguments.excluded[0], 1),
        "first_step_cpu_s": round(first[1] - arguments.excluded[1], 1),
        "steps": len(records),
        "step_s": round(trained / max(1, len(records) - 2), 2),
        "waiting": round(float(last[2]["waiting"]), 4),
        "images_per_second_needed": round(float(last[2]["images_per_second"]), 2),
        "images_per_second_prepared": round(_prepared(stage, arguments), 2),
    }


def _prepared(stage: RadStage, arguments: argparse.Namespace) -> float:
    """Images per second that the workers prepare while no network is running."""
    steps, share = range(100, 100 + 12), range(arguments.batch)
    with loading(
        lambda step: stage.batch(step, share), steps, arguments.workers, time.perf_counter
    ) as loader:
        started = time.perf_counter()
        images = sum(loader.next().images for _ in steps)
        return images / (time.perf_counter() - started)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", default="mid", choices=["toy", "mid"])
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--film", type=int, default=2048, help="side in pixels")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter(), time.process_time()
        file = write_studies(folder, arguments.lines, arguments.films, arguments.film)
        # Writing the data file is not part of a run.
        arguments.excluded = time.perf_counter() - began[0], time.process_time() - began[1]
        work = make_workload(arguments.config, torch.device("cpu"), torch.float32, for_decoding=False)
        figures = {"config": arguments.config, **measure(work, file, arguments, folder)}
    for key, value in figures.items():
        print(f"{key:28}{value}")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""What `echo-model table` and `echo-model drafts` do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from model.evaluate.held_out import held_out_examples
from model.evaluate.sheet import draw_sheet
from model.evaluate.subjects import Subjects
from model.evaluate.tables import Measured, Table

_HEADER = (
    f"{'':34}{'F1':>7}{'attr':>7}{'bad':>7}{'legal':>7}{'R-L':>7}{'ppl':>7}"
    f"{'tok/fw':>8}{'fw/rep':>8}{'tok/s':>8}{'vs AR':>7}"
)


def measure_table(
    checkpoint: Path, runs: Path | None, studies: int, threads: int, *, first_seed: int, as_json: bool
) -> Iterator[str]:
    """Lines of the table; with `as_json` the last one is {"rows": [...]}."""
    if threads:
        torch.set_num_threads(threads)
    subjects = Subjects(checkpoint, runs)
    examples = held_out_examples(studies, subjects.shipped.config.image_size, first_seed)
    measured = []
    if not subjects.shipped.config.demonstration:
        yield (
            f"NOTE: measured on {studies} procedural phantoms, which {checkpoint} was not trained on; "
            "echo-model evaluate measures your own studies"
        )
    yield _HEADER
    for row in Table(subjects, examples, time.perf_counter).measure():
        measured.append(row)
        yield _line(row)
    if as_json:
        yield json.dumps({"rows": [asdict(row) for row in measured]})


def draw_drafts(checkpoint: Path, runs: Path | None, output: Path) -> Path:
    """Writes the page of drafts."""
    subjects = Subjects(checkpoint, runs)
    draw_sheet(subjects, held_out_examples(40, subjects.shipped.config.image_size), output)
    return output


def _line(row: Measured) -> str:
    def number(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return (
        f"{row.name:34}{row.macro_f1:7.3f}{row.attribute_accuracy:7.3f}{row.unparseable:7.3f}{row.legal:7.3f}"
        f"{row.rouge_l:7.3f}{number(row.perplexity, '.3f'):>7}{row.tokens_per_forward:8.2f}"
        f"{row.forwards_per_report:8.1f}{row.tokens_per_second:8.0f}{number(row.speed_vs_ar, '.2f'):>7}"
    )

"""What `echo-model table` and `echo-model drafts` do."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from model.errors import ModelError
from model.evaluate.budget import budgets
from model.evaluate.held_out import held_out_examples
from model.evaluate.sheet import draw_sheet
from model.evaluate.spread import Spread, over_seeds
from model.evaluate.subjects import SeedRun, Subjects, seed_runs
from model.evaluate.tables import SEED_ROWS, Measured, Table


class SeedsError(ModelError):
    """No seed of a recipe has been trained to the end; the message says how to train one."""

    code = "seeds"
    retryable = False


_HEADER = (
    f"{'':34}{'F1':>7}{'attr':>7}{'bad':>7}{'legal':>7}{'R-L':>7}{'ppl':>7}"
    f"{'tok/fw':>8}{'fw/rep':>8}{'tok/s':>8}{'vs AR':>7}"
)


def measure_table(
    checkpoint: Path, runs: Path | None, studies: int, threads: int, *, first_seed: int, as_json: bool
) -> Iterator[str]:
    """Prints the table; with `as_json` the last line is {"rows": [...]}."""
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
    for note in dict.fromkeys(row.note for row in measured if row.note):
        named = ", ".join(row.name for row in measured if row.note == note)
        yield f"NOTE: {named}: {note}"
    if as_json:
        yield json.dumps({"rows": [asdict(row) for row in measured]})


def measure_seeds(
    folder: Path,
    studies: int,
    threads: int,
    *,
    first_seed: int,
    as_json: bool,
    vocabulary: Path | None = None,
) -> Iterator[str]:
    """The table's rows over the runs `seed-N` of a folder, mean and standard deviation.

    vocabulary: the file in force; rows that were read with another one are not taken from what is stored.
    With `as_json` the last line is {"seeds", "studies", "first_seed", "budget", "rows"}. Raises: SeedsError
    where there is none.
    """
    if threads:
        torch.set_num_threads(threads)
    runs = seed_runs(folder)
    if not runs:
        raise SeedsError(
            f"{folder} holds no finished run seed-N; echo-model table-models --config seeds --seed 1 …"
        )
    tables = []
    measurement = f"{first_seed}-{studies}"
    if vocabulary is not None:
        measurement += f"-{hashlib.sha256(vocabulary.read_bytes()).hexdigest()[:12]}"
    for run in runs:
        tables.append(_rows_of(run, studies, first_seed, measurement))
        yield f"{run}: {len(tables[-1])} rows"
    rows, spent = over_seeds(tables), budgets(runs)
    yield f"{'':34}{'seeds':>6}" + "".join(f"{title:>17}" for title, _, _ in _SPREAD)
    for row in rows:
        yield f"{row.name:34}{row.seeds:6}" + "".join(
            f"{_with_spread(row, key, form):>17}" for _, key, form in _SPREAD
        )
    yield "training of one seed:"
    for one in spent:
        cpu = "" if one.cpu_minutes is None else f", {one.cpu_minutes:.1f} of a processor"
        yield f"  {one.stage:10}{one.steps:6} steps{one.tokens:13,} tokens{one.minutes:8.1f} minutes{cpu}"
    if as_json:
        names = [run.name for run in runs]
        found = {"seeds": names, "studies": studies, "first_seed": first_seed}
        yield json.dumps(
            {**found, "budget": [asdict(one) for one in spent], "rows": [asdict(row) for row in rows]}
        )


def _rows_of(run: Path, studies: int, first_seed: int, measurement: str) -> list[Measured]:
    """A seed's rows; measured once, and stored in its folder until a stage is trained again."""
    kept = run / f"table-{measurement}.json"
    trained = max(done.stat().st_mtime_ns for done in run.glob("*/done"))
    if kept.exists() and kept.stat().st_mtime_ns >= trained:
        return [Measured(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    networks = SeedRun(run)
    examples = held_out_examples(studies, networks.shipped.config.image_size, first_seed)
    rows = list(Table(networks, examples, time.perf_counter).measure(SEED_ROWS))
    kept.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return rows


_SPREAD = (
    ("F1", "macro_f1", ".3f"),
    ("bad", "unparseable", ".4f"),
    ("legal", "legal", ".3f"),
    ("R-L", "rouge_l", ".3f"),
    ("tok/fw", "tokens_per_forward", ".2f"),
)


def _with_spread(row: Spread, key: str, form: str) -> str:
    spread = f" ± {row.deviation[key]:{form}}" if key in row.deviation else ""
    return f"{row.mean[key]:{form}}{spread}"


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

"""What `echo-model evaluate` does: drafts of a user's own studies, scored against their reports."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from model.evaluate.extras import extra_scores
from model.evaluate.own_data import Drafts, draft_studies, score_drafts
from model.network.checkpoint import load_checkpoint
from model.network.device import select_device
from model.train.config import JsonLinesData
from model.train.json_lines import JsonLinesExamples


def evaluate_lines(
    directory: Path,
    data: Path,
    studies: int | None,
    batch: int,
    *,
    output: Path | None,
    extras: Mapping[str, Path | None],
    as_json: bool,
    threads: int,
) -> Iterator[str]:
    """Figures one under the other; with `as_json` the last line is one JSON object.

    output: receives {id, draft, reference} of each study. Raises: DataError, CheckpointError.
    """
    if threads:
        torch.set_num_threads(threads)
    examples = JsonLinesExamples.open(JsonLinesData(file=data))
    examples.finish_check()
    choice = select_device("auto")
    checkpoint = load_checkpoint(directory, device=choice.device, dtype=choice.dtype)
    count = min(studies or len(examples), len(examples))
    drafts = draft_studies(checkpoint, examples, count, batch, time.perf_counter)
    if output is not None:
        _write(output, drafts)
    found = score_drafts(drafts)
    extra, skipped = extra_scores(drafts.texts, drafts.references, extras)
    yield f"{data}: {count} studies, {checkpoint.config.name} ({checkpoint.config.stage}), {choice.reason}"
    for name, value in {**found.rates, **extra}.items():
        yield f"  {name:24}{value:10.4f}"
    yield "  F1 of present findings by concept:"
    for concept, value in sorted(found.by_concept.items()):
        yield f"    {concept:28}{value:8.3f}"
    for name, reason in skipped.items():
        yield f"  {name}: skipped ({reason})"
    if as_json:
        yield json.dumps(
            {"studies": count, **found.rates, **extra, "by_concept": found.by_concept, "skipped": skipped}
        )


def _write(file: Path, drafts: Drafts) -> None:
    with file.open("w", encoding="utf-8") as stream:
        for identifier, text, reference in zip(drafts.ids, drafts.texts, drafts.references, strict=True):
            line = {"id": identifier, "draft": text, "reference": reference}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")

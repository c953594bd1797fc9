"""What `echo-model evaluate` does: drafts of a user's own studies, scored against their reports."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from model.evaluate.engines.engine import WorkerKilled, Workers
from model.evaluate.engines.run_groups import run_groups
from model.evaluate.extras import check_extras, extra_scores
from model.evaluate.own_data import Drafts, draft_studies, joined
from model.network.checkpoint import load_checkpoint
from model.network.device import select_device
from model.network.inspection import sound_checkpoint
from model.train.config import JsonLinesData
from model.train.json_lines import JsonLinesExamples


@dataclass(frozen=True, slots=True)
class DraftBatches:
    """Loads the network and opens the data in a worker; returns a function that drafts a batch there.

    threads: CPU threads; 0 leaves the choice to torch.
    """

    directory: Path
    data: Path
    threads: int

    def __call__(self) -> Callable[[tuple[int, int]], Drafts]:
        """Return the function that a worker runs: it drafts the studies from one number up to another."""
        if self.threads:
            torch.set_num_threads(self.threads)
        examples = JsonLinesExamples.open(JsonLinesData(file=self.data))
        choice = select_device("auto")
        checkpoint = load_checkpoint(self.directory, device=choice.device, dtype=choice.dtype)

        def draft(group: tuple[int, int]) -> Drafts:
            first, end = group
            return draft_studies(checkpoint, examples, range(first, end), end - first, time.perf_counter)

        return draft


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
    workers: Workers,
) -> Iterator[str]:
    """Prints the figures, one to a line; with `as_json` the last line is one JSON object.

    output: receives {id, draft, reference} for each study. Tokens and reports per second are those of one
    worker. Raises: DataError, CheckpointError; ExtraMetricError, OSError where the output cannot be written;
    EngineMissing, EngineUnavailable, WorkerKilled on a cluster.
    """
    # Errors that would end the command after drafting end it before, a missing package too.
    # The import is not at the top because each worker imports this file.
    from model.evaluate.own_scores import score_drafts

    check_extras(extras)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.open("a").close()
    examples = JsonLinesExamples.open(JsonLinesData(file=data))
    examples.finish_check()
    choice = select_device("auto")
    config, _tokenizer, _weights = sound_checkpoint(directory)
    count = min(studies or len(examples), len(examples))
    groups = [(start, min(start + batch, count)) for start in range(0, count, batch)]
    work = DraftBatches(directory.resolve(), data.resolve(), threads)
    parts = list(run_groups(groups, work, workers))
    if any(isinstance(part, WorkerKilled) for part in parts):
        raise WorkerKilled(
            "no worker could draft one of the batches, and figures of the rest would mislead; "
            "`--engine plain` shows why"
        )
    drafts = joined(parts)
    if output is not None:
        _write(output, drafts)
    found = score_drafts(drafts)
    extra, skipped = extra_scores(drafts.texts, drafts.references, extras)
    yield f"{data}: {count} studies, {config.name} ({config.stage}), {choice.reason}"
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

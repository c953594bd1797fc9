"""The finished recipe as a checkpoint that ships: half-precision weights, configuration and card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from model.network.checkpoint import save_checkpoint
from model.train.average import load_mean
from model.train.recipe import Recipe

VERSION = "1.0.0"
LICENCE = "The licence of this project. Trained on procedural phantoms alone."
_CARD = """# Demonstration checkpoint

**DEMONSTRATION MODEL – NOT FOR CLINICAL USE.** It was trained from nothing on procedural chest
phantoms and knows nothing about patients.

Made by the recipe of `make demo-model` from commit {commit}, in {minutes:.0f} minutes:

{stages}

{shipped}The last validation during training, by the plain decoder of the stage, without the
reporter's second look at doubtful blocks:

{validations}

The measurements and what did not work are in `docs/model-card.md`.
"""


def publish_demo(
    recipes: Sequence[Recipe],
    target: Path,
    *,
    branches: int = 1,
    stage: str = "dcd",
    steps: int = 1,
    threshold: float | None = None,
    commit: str = "unknown",
) -> None:
    """Writes a stage's checkpoint to `target`.

    Args:
        recipes: run in sequence. target: the directory to ship. branches: number of final recipes whose mean
        weights ship. stage: the stage to ship. steps: the most forward passes for a block. threshold: with
        it, a step commits every token that is at least this confident. commit: of the code that trained it;
        the card names it.
    """
    last = recipes[-branches:]
    checkpoint = load_mean([recipe.folder(stage) for recipe in last])
    config = replace(
        checkpoint.config,
        name="echo-demo",
        version=VERSION,
        licence=LICENCE,
        demonstration=True,
        reads_context=False,
        denoising_steps=steps,
        confidence_threshold=threshold,
    )
    save_checkpoint(target, checkpoint.backbone, config, checkpoint.tokenizer, dtype=torch.bfloat16)
    records = [(recipe.config.run, name, record) for recipe in recipes for name, record in recipe.records()]
    card = _CARD.format(
        commit=commit,
        minutes=sum(record.seconds for _, _, record in records) / 60,
        stages="\n".join(
            f"- {run.name}/{name}: {record.seconds / 60:.1f} minutes on {record.machine}"
            for run, name, record in records
        ),
        shipped=f"The mean of {branches} branches ships. " if branches > 1 else "",
        validations="\n".join(
            f"- {recipe.config.run.name}: {_last_validation(recipe.folder(stage))}" for recipe in last
        ),
    )
    (target / "README.md").write_text(card, encoding="utf-8")


def _last_validation(folder: Path) -> str:
    """The figures of a stage's last validation, as one line."""
    last = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    prefix = "validation_"
    return ", ".join(
        f"{key.removeprefix(prefix)} {value:.3f}" for key, value in last.items() if key.startswith(prefix)
    )

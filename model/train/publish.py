"""The finished recipe as a checkpoint that ships: half-precision weights, configuration and card."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from model.checkpoint import load_checkpoint, save_checkpoint
from model.train.recipe import Recipe

VERSION = "1.0.0"
LICENCE = "The licence of this project. Trained on procedural phantoms alone."
_CARD = """# Demonstration checkpoint

**DEMONSTRATION MODEL – NOT FOR CLINICAL USE.** It was trained from nothing on procedural chest
phantoms and knows nothing about patients.

Made by the recipe of `make demo-model` ({stages}) from commit {commit}, in {minutes:.0f} minutes on
{cores} CPU cores ({each}). The last validation during
training, by the plain decoder of the stage, without the reporter's second look at doubtful blocks:
{last}
The measurements and what did not work are in `docs/model-card.md`.
"""


def publish_demo(
    recipes: Sequence[Recipe],
    target: Path,
    *,
    stage: str = "dcd",
    steps: int = 1,
    threshold: float | None = None,
    commit: str = "unknown",
) -> None:
    """Writes a stage's checkpoint to `target`.

    Args:
        recipes: run one after the other; the last one's stage ships.
        target: the directory that ships.
        stage: the stage to ship.
        steps: the most forwards that a block may take.
        threshold: with it, a step commits every token that is at least that confident.
        commit: of the code that trained it; the card names it.
    """
    source = recipes[-1].folder(stage)
    checkpoint = load_checkpoint(source)
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
    records = (source / "log.jsonl").read_text(encoding="utf-8").splitlines()
    last = {
        key.removeprefix("validation_"): round(value, 3)
        for key, value in json.loads(records[-1]).items()
        if key.startswith("validation_")
    }
    seconds = [item for recipe in recipes for item in recipe.seconds().items()]
    card = _CARD.format(
        stages=", ".join(name for name, _ in seconds),
        commit=commit,
        minutes=sum(value for _, value in seconds) / 60,
        cores=os.cpu_count(),
        each=", ".join(f"{name} {value / 60:.0f}" for name, value in seconds),
        last=", ".join(f"{key} {value}" for key, value in last.items()),
    )
    (target / "README.md").write_text(card, encoding="utf-8")

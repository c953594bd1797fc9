"""The networks of the table: the shipped one, and the baselines that differ from it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

from model.backbone import Backbone
from model.checkpoint import Checkpoint, load_checkpoint
from model.config import ModelConfig, Stage
from model.evaluate.deltas import apply_delta, save_delta

BASELINES = "baselines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network and how it is configured."""

    backbone: Backbone
    config: ModelConfig


class Subjects:
    """Finds the networks of a table: `echo` is the checkpoint itself, the others its baselines.

    A baseline is a file `baselines/NAME.safetensors` of differences in the checkpoint's directory, or a
    whole checkpoint `NAME` in `runs`.
    """

    def __init__(self, directory: Path, runs: Path | None = None) -> None:
        self._directory = directory
        self._runs = runs
        self.shipped: Checkpoint = load_checkpoint(directory)

    def get(self, name: str, stage: Stage, block_size: int) -> Subject | None:
        """The network of that name, or None where it has not been built."""
        if name == "echo":
            return Subject(backbone=self.shipped.backbone, config=self.shipped.config)
        if self._runs is not None and (self._runs / name / "config.json").exists():
            found = load_checkpoint(self._runs / name)
            return Subject(backbone=found.backbone, config=found.config)
        file = self._directory / BASELINES / f"{name}.safetensors"
        if not file.exists():
            return None
        backbone = copy.deepcopy(self.shipped.backbone)
        network = backbone.network
        network.load_state_dict(apply_delta(network.state_dict(), file))
        config = replace(
            self.shipped.config,
            stage=stage,
            block_size=block_size,
            denoising_steps=1,
            confidence_threshold=None,
        )
        return Subject(backbone=backbone, config=config)


def store_baseline(shipped: Path, other: Path, name: str) -> Path:
    """Writes a checkpoint as a baseline of the shipped one; returns the file."""
    reference, baseline = load_checkpoint(shipped), load_checkpoint(other)
    target = shipped / BASELINES / f"{name}.safetensors"
    # Rounded like the shipped weights, so that what the two share (the vision tower) takes no room.
    rounded = {key: value.bfloat16().float() for key, value in baseline.backbone.network.state_dict().items()}
    save_delta(reference.backbone.network.state_dict(), rounded, target)
    return target

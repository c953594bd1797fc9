"""The networks of the table: the shipped one, and the baselines that differ from it."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path

from model.evaluate.deltas import DeltaError, apply_delta, save_delta
from model.network.backbone import Backbone
from model.network.checkpoint import Checkpoint, load_checkpoint, write_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.tokenizer import ReportTokenizer

BASELINES = "baselines"
_NOTES = "notes.json"
_STAGES = {"ar": "ar", "base": "rad", "echo": "dcd", "t3d": "t3d"}  # the folders of a run
# Where `make demo-model` and `make table-models` leave each network of the table, in `runs`.
FOLDERS = {
    "ar": "demo/ar",
    "base": "demo/rad",
    "t3d": "table/t3d/t3d",
    "base-blk4": "table/blk4/rad",
    "echo-blk4": "table/blk4/dcd",
    "base-blk16": "table/blk16/rad",
    "echo-blk16": "table/blk16/dcd",
    "dcd-kl": "table/kl/dcd",
    "dcd-steps": "table/steps/dcd",
    "dcd-eos": "table/eos/dcd",
    "dcd-reverse": "table/reverse/dcd",
    "base-dictated": "table/dictated/rad",
    "echo-dictated": "table/dictated/dcd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedNetwork:
    """A network, its configuration and its tokenizer. note: how its training differs."""

    backbone: Backbone
    config: ModelConfig
    tokenizer: ReportTokenizer
    note: str = ""


class Subjects:
    """Finds the networks of a table: `echo` is the checkpoint itself, the others its baselines.

    A baseline is a whole checkpoint in `runs` (see FOLDERS), or a file `baselines/NAME.safetensors` of
    differences in the checkpoint's directory.
    """

    def __init__(self, directory: Path, runs: Path | None = None) -> None:
        self._directory = directory
        self._runs = runs
        self.shipped: Checkpoint = load_checkpoint(directory)

    def get(self, name: str, stage: Stage, block_size: int) -> EvaluatedNetwork | None:
        """The network with this name, or None if it has not been built."""
        if name == "echo":
            return _subject(self.shipped)
        if self._runs is not None and (self._runs / FOLDERS[name] / "done").exists():
            return _subject(load_checkpoint(self._runs / FOLDERS[name]))
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
        note = _notes(self._directory).get(name, "")
        return EvaluatedNetwork(backbone=backbone, config=config, tokenizer=self.shipped.tokenizer, note=note)


class SeedRun:
    """The networks of one seed of the recipe `seeds.yaml`, in the form that the table needs."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self.shipped: Checkpoint = load_checkpoint(run / _STAGES["echo"])

    def get(self, name: str, stage: Stage, block_size: int) -> EvaluatedNetwork | None:
        """The network with this name, or None if it has not been trained to the end."""
        folder = self._run / _STAGES.get(name, name)
        return _subject(load_checkpoint(folder)) if (folder / "done").exists() else None


def seed_runs(folder: Path) -> list[Path]:
    """The runs `seed-N` in a folder whose ECHO is finished, by number."""
    found = [run for run in folder.glob("seed-*") if (run / _STAGES["echo"] / "done").exists()]
    return sorted(found, key=lambda run: (len(run.name), run.name))


def unpack_baseline(shipped: Path, name: str, folder: Path) -> Path:
    """Writes a baseline of the shipped checkpoint as a separate checkpoint, to continue training from;
    returns it.

    Raises:
        DeltaError where there is no baseline of that name.
    """
    known = sorted(file.stem for file in (shipped / BASELINES).glob("*.safetensors"))
    kind = name.partition("-")[0]
    subjects = Subjects(shipped)
    stage = Stage(kind) if kind in ("ar", "base", "t3d") else Stage.ECHO
    found = subjects.get(name, stage, subjects.shipped.config.block_size) if name in known else None
    if found is None:
        raise DeltaError(f"{shipped} has no baseline {name!r}; it has {known}")
    write_checkpoint(folder, found.backbone.network.state_dict(), found.config, found.tokenizer)
    return folder


def _notes(directory: Path) -> dict[str, str]:
    """How the training of the baselines differs, by name."""
    file = directory / BASELINES / _NOTES
    notes: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return notes


def _subject(found: Checkpoint) -> EvaluatedNetwork:
    return EvaluatedNetwork(backbone=found.backbone, config=found.config, tokenizer=found.tokenizer)


def store_baseline(shipped: Path, other: Path, name: str, note: str = "") -> Path:
    """Writes a checkpoint as a baseline of the shipped one; returns the file.

    note: how its training differs, which the table prints.
    """
    reference, baseline = load_checkpoint(shipped), load_checkpoint(other)
    target = shipped / BASELINES / f"{name}.safetensors"
    # Rounded like the shipped weights, so that the shared part (the vision tower) takes no space.
    rounded = {key: value.bfloat16().float() for key, value in baseline.backbone.network.state_dict().items()}
    save_delta(reference.backbone.network.state_dict(), rounded, target)
    notes = {known: text for known, text in _notes(shipped).items() if known != name}
    notes |= {name: note} if note else {}
    (target.parent / _NOTES).write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    return target

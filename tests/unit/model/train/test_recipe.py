"""A recipe from random weights to a one-step checkpoint, in miniature."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from model.network.checkpoint import load_checkpoint
from model.network.config import Stage
from model.train import phantoms
from model.train.config import TrainingConfig, TrainingConfigError
from model.train.publish import publish_demo
from model.train.recipe import Recipe

STEP = {"steps": 1, "batch": 2, "rate": 1e-3, "warmup": 0, "validation_examples": 2, "optimizer": "muon"}
PHANTOMS = {"phantoms": {"first_seed": 0, "count": 4, "image_size": 56}}
SIZES = {
    "hidden": 48,
    "layers": 1,
    "heads": 4,
    "kv_heads": 2,
    "ffn": 64,
    "vision_hidden": 32,
    "vision_heads": 2,
}


def _ignore(_: Mapping[str, float | int | str]) -> None:
    """Ignore progress."""


def _recipe(folder: Path) -> Recipe:
    data = {"phantoms": {"first_seed": 0, "count": 4, "image_size": 56}}
    config = TrainingConfig.model_validate(
        {
            "name": "miniature",
            "run": str(folder / "run"),
            "network": {**SIZES, "vision_layers": 1, "vision_ffn": 48},
            "max_tokens": 96,
            "data": data,
            "distillation": {"phantoms": {"first_seed": 4, "count": 4, "image_size": 56}},
            "validation": data,
            "labels": STEP,
            "ar": STEP,
            "rad": STEP,
            "rollout": {"examples": 4, "batch": 4, "legal_only": False},
            "dcd": STEP,
            "t3d": STEP,
        }
    )
    return Recipe(config, clock=lambda: 0.0, report=_ignore)


def test_recipe_runs_from_nothing_to_a_published_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage starts from the previous one and leaves a checkpoint; a finished stage is not run again."""
    monkeypatch.setattr(phantoms, "CHUNK", 4)
    recipe = _recipe(tmp_path)

    recipe.run_all()
    log = (recipe.folder("ar") / "log.jsonl").read_text()
    recipe.run_all()
    publish_demo([recipe], tmp_path / "shipped", commit="abc123")

    assert (recipe.folder("ar") / "log.jsonl").read_text() == log
    assert [json.loads(line)["step"] for line in log.splitlines()] == [1]
    stages = {name: load_checkpoint(recipe.folder(name)).config.stage for name in ("ar", "rad", "dcd", "t3d")}
    assert stages == {"ar": Stage.AR, "rad": Stage.BASE, "dcd": Stage.ECHO, "t3d": Stage.T3D}
    shipped = load_checkpoint(tmp_path / "shipped").config
    assert (shipped.demonstration, shipped.denoising_steps) == (True, 1)
    card = (tmp_path / "shipped" / "README.md").read_text()
    assert "from commit abc123" in card
    assert all(f"- run/{stage}: 0.0 minutes on " in card for stage in recipe.stages())


def test_another_block_size_starts_from_a_finished_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller blocks continue from a Base with larger ones, with one step per token of a block."""
    monkeypatch.setattr(phantoms, "CHUNK", 4)
    recipe = _recipe(tmp_path)
    base = recipe.run("labels").rename(tmp_path / "base")
    save = json.loads((base / "echo_config.json").read_text()) | {"stage": "base", "denoising_steps": 8}
    (base / "echo_config.json").write_text(json.dumps(save))
    smaller = recipe.config.model_copy(
        update={"block_size": 4, "rad": recipe.config.rad.model_copy(update={"start": str(base)})}  # type: ignore[union-attr]
    )

    folder = Recipe(smaller, clock=lambda: 0.0, report=_ignore).run("rad")

    found = load_checkpoint(folder).config
    assert (found.block_size, found.denoising_steps) == (4, 4)


def test_every_commit_of_a_run_is_remembered_once(tmp_path: Path) -> None:
    """A run that is resumed with other code lists each commit in its order, for the card."""
    recipe = _recipe(tmp_path)

    noted = [recipe.note_commit(commit) for commit in ("a1", "a1", "b2")]

    assert noted == [["a1"], ["a1"], ["a1", "b2"]]


def test_distillation_learns_from_its_own_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAD reads `data`; rollout and DCD read `distillation`, which the teacher has not seen."""
    monkeypatch.setattr(phantoms, "CHUNK", 4)
    recipe = _recipe(tmp_path)
    recipe.run("labels")

    ids = {
        stage: recipe.materials("labels", stage).examples[0].id for stage in ("rad", "rollout", "dcd", "t3d")
    }

    assert ids == {"rad": "phantom-0", "rollout": "phantom-4", "dcd": "phantom-4", "t3d": "phantom-4"}


def test_a_stage_without_a_section_is_refused(tmp_path: Path) -> None:
    """The error names the recipe's sections."""
    recipe = Recipe(
        TrainingConfig.model_validate(
            {"name": "x", "run": str(tmp_path), "data": PHANTOMS, "validation": PHANTOMS, "ar": STEP}
        ),
        clock=lambda: 0.0,
        report=_ignore,
    )

    with pytest.raises(TrainingConfigError, match="it has \\['ar'\\]"):
        recipe.run("dcd")

"""Recipes: unknown keys are refused, every problem is reported with its place, shipped recipes are valid."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from model.commands.cli import DEMO_BRANCHES, DEMO_RECIPE, packaged_recipe
from model.train.config import StageConfig, TrainingConfigError, load_training_config
from model.train.variants import load_variants


def test_shipped_recipe_is_valid() -> None:
    """The recipe that `make demo-model` uses can be loaded."""
    recipe = load_training_config(packaged_recipe("demo"))

    assert recipe.block_size == 8
    assert recipe.data.phantoms is not None


def test_branches_have_phantoms_of_their_own() -> None:
    """Phantom sets do not overlap, each branch has its own seed, and all continue from the first DCD."""
    first = load_training_config(packaged_recipe(DEMO_RECIPE))
    branches = load_variants(packaged_recipe(DEMO_BRANCHES)).values()
    opened = [first.data, first.distillation, first.validation, *(branch.data for branch in branches)]
    sets = sorted((one.phantoms.first_seed, one.phantoms.count) for one in opened if one and one.phantoms)

    assert len(sets) == 3 + len(branches)
    assert all(start + count <= after for (start, count), (after, _) in pairwise(sets))
    assert len({branch.seed for branch in branches}) == len({branch.run for branch in branches}) == 3
    assert {branch.dcd.start for branch in branches if branch.dcd} == {str(first.run / "dcd")}
    assert {branch.rollout.student for branch in branches if branch.rollout} == {str(first.run / "dcd")}


def test_shipped_recipe_never_trains_on_held_out_seeds() -> None:
    """The phantoms of training, distillation, validation and the table have disjoint ranges of seeds."""
    from model.evaluate.held_out import FIRST_SEED

    recipe = load_training_config(packaged_recipe("demo"))
    sets = [data.phantoms for data in (recipe.data, recipe.distillation, recipe.validation) if data]

    seen, unseen, held = [range(one.first_seed, one.first_seed + one.count) for one in sets if one]

    assert seen.stop <= unseen.start
    assert unseen.stop <= FIRST_SEED
    assert held.start >= FIRST_SEED + 10_000


def test_a_wrong_recipe_is_one_error_with_every_problem(tmp_path: Path) -> None:
    """Each problem is reported with its path in the file."""
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "name: x\nrun: y\n"
        "data: &d {phantoms: {count: 4}}\nvalidation: *d\nar: {steps: 0, batch: 4, rate: 1.0, colour: red}\n"
    )

    with pytest.raises(TrainingConfigError) as caught:
        load_training_config(file)

    assert "ar.steps" in str(caught.value)
    assert "ar.colour" in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        "rate: 0",
        "rate: .nan",
        "rate: .inf",
        "rate: -1.0e-4",
        "clip: 0",
        "clip: .nan",
        "warmup: -1",
        "warmup: 1",
        "weight_decay: -0.1",
        "validation_examples: 0",
        "micro_batch: 8",
        "rate: 1e-3.5",
    ],
)
def test_a_number_that_cannot_train_is_refused(tmp_path: Path, setting: str) -> None:
    """A rate must be a positive finite number, and other numbers must be within their bounds."""
    file = tmp_path / "recipe.yaml"
    valid = {"steps": "1", "batch": "4", "rate": "1e-3"}
    key, _, value = setting.partition(": ")
    section = ", ".join(f"{name}: {stated}" for name, stated in {**valid, key: value}.items())
    file.write_text(
        f"name: x\nrun: y\ndata: &d {{phantoms: {{count: 4}}}}\nvalidation: *d\nar: {{{section}}}\n"
    )

    with pytest.raises(TrainingConfigError, match=f"ar.*{key}"):
        load_training_config(file)


def test_a_threshold_is_a_probability(tmp_path: Path) -> None:
    """No token reaches 1.85: the teacher would commit one a step, for days, and nothing would say why."""
    file = tmp_path / "recipe.yaml"
    file.write_text("name: x\nrun: y\nrollout: {threshold: 1.85}\n")
    with pytest.raises(TrainingConfigError, match=r"rollout\.threshold: .*less than or equal to 1"):
        load_training_config(file)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (12, 11), (800, 20)])
def test_a_warmup_that_is_not_stated_ends_before_the_stage_does(steps: int, warmup: int) -> None:
    """A short stage would otherwise never reach its rate."""
    assert StageConfig(steps=steps, batch=4, rate=1e-3).warmup == warmup


def test_a_missing_recipe_says_what_to_do(tmp_path: Path) -> None:
    """A wrong path gives an error that says what to do."""
    with pytest.raises(TrainingConfigError, match="name an existing YAML file"):
        load_training_config(tmp_path / "absent.yaml")


def test_a_recipe_in_another_encoding_is_no_traceback(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with an error; a byte order mark is accepted."""
    file = tmp_path / "recipe.yaml"
    file.write_bytes("name: Röntgen\n".encode("latin-1"))
    with pytest.raises(TrainingConfigError, match="not valid YAML"):
        load_training_config(file)

    file.write_text(
        "name: x\nrun: y\ndata: &d {phantoms: {count: 4}}\nvalidation: *d\n", encoding="utf-8-sig"
    )
    assert load_training_config(file).name == "x"

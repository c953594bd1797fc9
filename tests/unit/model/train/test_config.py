"""Recipes: unknown keys are refused, every problem is named with its place, shipped recipes are valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.cli import DEMO_RECIPES, packaged_recipe
from model.train.config import TrainingConfigError, load_training_config


def test_shipped_recipe_is_valid() -> None:
    """What `make demo-model` names can be loaded."""
    recipe = load_training_config(packaged_recipe("demo"))

    assert recipe.block_size == 8
    assert recipe.data.phantoms is not None


def test_second_round_has_phantoms_of_its_own() -> None:
    """The second round's phantoms are in none of the first's sets, and it goes on from the first's DCD."""
    first, second = (load_training_config(packaged_recipe(name)) for name in DEMO_RECIPES)
    sets = [data.phantoms for data in (first.data, first.distillation, first.validation) if data]
    own = second.data.phantoms
    assert own is not None
    assert second.dcd is not None

    others = [range(one.first_seed, one.first_seed + one.count) for one in sets if one]

    assert not any(own.first_seed in one or own.first_seed + own.count - 1 in one for one in others)
    assert second.dcd.start == str(first.run / "dcd")


def test_shipped_recipe_never_trains_on_held_out_seeds() -> None:
    """Training, distillation, validation and the table's phantoms are disjoint ranges of seeds."""
    from model.evaluate.held_out import FIRST_SEED

    recipe = load_training_config(packaged_recipe("demo"))
    sets = [data.phantoms for data in (recipe.data, recipe.distillation, recipe.validation) if data]

    seen, unseen, held = [range(one.first_seed, one.first_seed + one.count) for one in sets if one]

    assert seen.stop <= unseen.start
    assert unseen.stop <= FIRST_SEED
    assert held.start >= FIRST_SEED + 10_000


def test_a_wrong_recipe_is_one_error_with_every_problem(tmp_path: Path) -> None:
    """Each problem stands with its path in the file."""
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "name: x\nrun: y\ndata: {}\nvalidation: {}\nar: {steps: 0, batch: 4, rate: 1.0, colour: red}\n"
    )

    with pytest.raises(TrainingConfigError) as caught:
        load_training_config(file)

    assert "ar.steps" in str(caught.value)
    assert "ar.colour" in str(caught.value)


def test_a_missing_recipe_says_what_to_do(tmp_path: Path) -> None:
    """A wrong path is no traceback."""
    with pytest.raises(TrainingConfigError, match="name an existing YAML file"):
        load_training_config(tmp_path / "absent.yaml")

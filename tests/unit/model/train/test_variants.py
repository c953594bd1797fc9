"""One file of variants: what is shared, what differs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.commands.cli import packaged_recipe
from model.evaluate.subjects import FOLDERS
from model.train.config import TrainingConfigError
from model.train.variants import load_variants


def test_the_tables_variants_differ_only_in_the_loss() -> None:
    """The DCD ablation compares equal steps from one Base: step weights, end of text and direction differ."""
    variants = load_variants(packaged_recipe("table"))

    losses = {"step_weights", "eos_weight", "divergence"}
    plain = [variants[n].dcd.model_dump(exclude=losses) for n in ("kl", "steps", "eos", "reverse")]  # type: ignore[union-attr]

    assert all(one == plain[0] for one in plain)


def test_every_network_of_the_table_has_its_variant() -> None:
    """Each folder in which the table looks is one that a variant makes."""
    variants = load_variants(packaged_recipe("table"))

    made = {f"table/{name}/{stage}" for name, one in variants.items() for stage in one.model_fields_set}

    assert {folder for folder in FOLDERS.values() if folder.startswith("table/")} <= made


def test_a_wrong_variant_is_named(tmp_path: Path) -> None:
    """The error says which variant of which file holds the problem."""
    file = tmp_path / "v.yaml"
    file.write_text(
        "common: {name: x, run: r, data: &d {phantoms: {count: 4}}, validation: *d}\n"
        "variants: {odd: {dcd: {steps: 0}}}\n"
    )

    with pytest.raises(TrainingConfigError, match=r"variant odd: dcd\.steps"):
        load_variants(file)


def test_a_file_without_variants_is_refused(tmp_path: Path) -> None:
    """A plain recipe is not a file of variants."""
    file = tmp_path / "v.yaml"
    file.write_text("name: x\n")

    with pytest.raises(TrainingConfigError, match="'common' and 'variants'"):
        load_variants(file)

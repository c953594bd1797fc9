"""One file of variants: what they share, how they differ, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.commands.cli import packaged_recipe
from model.evaluate.subjects import FOLDERS
from model.train.config import TrainingConfigError, load_training_config
from model.train.variants import load_variants


def test_the_tables_variants_differ_only_in_the_loss() -> None:
    """The DCD ablation has equal steps from one Base: only step weights, end of text and direction differ."""
    variants = load_variants(packaged_recipe("table"))

    losses = {"step_weights", "eos_weight", "divergence"}
    plain = [variants[n].dcd.model_dump(exclude=losses) for n in ("kl", "steps", "eos", "reverse")]  # type: ignore[union-attr]

    assert all(one == plain[0] for one in plain)


def test_every_network_of_the_table_has_its_variant() -> None:
    """Each folder that the table reads is written by a variant."""
    variants = load_variants(packaged_recipe("table"))

    made = {f"table/{name}/{stage}" for name, one in variants.items() for stage in one.model_fields_set}

    assert {folder for folder in FOLDERS.values() if folder.startswith("table/")} <= made


def test_a_wrong_variant_is_named(tmp_path: Path) -> None:
    """The error names the variant and the setting."""
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


def test_seeds_repeat_a_variant_in_folders_of_their_own() -> None:
    """ECHO and T3D have equal budgets, the same start and the same rollout, for each seed."""
    variants = load_variants(packaged_recipe("seeds"), [1, 2, 3])

    assert {name for name in variants if name.startswith("whole")} == {f"whole/seed-{n}" for n in (1, 2, 3)}
    for name, one in variants.items():
        assert one.dcd is not None
        assert one.t3d is not None
        assert name.endswith(f"seed-{one.seed}")
        assert str(one.run) == f"runs/seeds/{name}"
        assert (one.dcd.steps, one.dcd.batch) == (one.t3d.steps, one.t3d.batch)
        assert (one.dcd.start, one.dcd.trajectories) == (one.t3d.start, one.t3d.trajectories)
    plain = {one.model_copy(update={"seed": 0, "run": "x"}).model_dump_json() for one in variants.values()}
    assert len(plain) == 3


def test_t3d_gets_as_many_studies_as_the_first_round_of_echo() -> None:
    """The table's T3D and the demonstration's DCD have equal steps and batches, from one rollout."""
    t3d = load_variants(packaged_recipe("table"))["t3d"]
    demo = load_training_config(packaged_recipe("demo"))

    assert t3d.t3d is not None
    assert demo.dcd is not None
    assert (t3d.t3d.steps, t3d.t3d.batch) == (demo.dcd.steps, demo.dcd.batch)
    assert t3d.distillation == demo.distillation
    assert (t3d.t3d.beta, t3d.t3d.alpha, t3d.t3d.path_weight, t3d.t3d.tokens_per_step) == (0.1, 0.5, 0.2, 4)

"""The table on a small scale: rows of existing networks, each with its own tokenizer and block size."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from model.commands import evaluate as commands
from model.evaluate.deltas import DeltaError
from model.evaluate.spread import over_seeds
from model.evaluate.subjects import FOLDERS, Subjects, store_baseline, unpack_baseline
from model.evaluate.tables import ROWS, Measured, Table
from model.network.backbone import Backbone
from model.network.checkpoint import load_checkpoint, save_checkpoint
from model.network.config import ModelConfig, Stage
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example

Save = Callable[[Path, Stage, int, int], Path]


@pytest.fixture
def save(
    make_config: Callable[..., ModelConfig],
    make_backbone: Callable[[ModelConfig, int], Backbone],
    tokenizer: ReportTokenizer,
) -> Save:
    """Write a random network as a checkpoint of a stage."""

    def write(folder: Path, stage: Stage, block_size: int, seed: int) -> Path:
        config = make_config(stage=stage, block_size=block_size)
        save_checkpoint(folder, make_backbone(config, seed), config, tokenizer)
        (folder / "done").write_text('{"seconds": 60.0, "machine": "this one", "cpu_seconds": 30.0}')
        return folder

    return write


@pytest.fixture
def examples() -> list[Example]:
    """Two noise studies."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 56, 56), dtype=np.uint8)
    return [
        Example(id=str(i), images=(image,), views=("frontal",), answer="Findings: No pneumothorax.", truth=())
        for i, image in enumerate(images)
    ]


def _table(subjects: Subjects, examples: list[Example]) -> Table:
    ticks = count()
    return Table(subjects, examples, clock=lambda: float(next(ticks)))


def test_rows_without_a_network_are_left_out(tmp_path: Path, save: Save, examples: list[Example]) -> None:
    """The shipped network and its baselines give the rows possible with them, in the table's order."""
    shipped = save(tmp_path / "shipped", Stage.ECHO, 8, 0)
    store_baseline(shipped, save(tmp_path / "ar", Stage.AR, 8, 1), "ar")
    store_baseline(shipped, save(tmp_path / "base", Stage.BASE, 8, 2), "base")

    rows = list(_table(Subjects(shipped), examples).measure())

    assert [row.name for row in rows] == [
        "AR",
        "Base multi-step blk8",
        "Naive one-step blk8",
        "ECHO blk8",
        "ECHO blk8 unfused",
    ]
    assert rows[0].speed_vs_ar == 1.0
    assert rows[3].forwards_per_report < rows[4].forwards_per_report


def test_rows_of_runs_decode_with_their_own_block_size(
    tmp_path: Path, save: Save, examples: list[Example]
) -> None:
    """A run's checkpoint is found by its folder; blocks of four need more forwards than blocks of eight."""
    shipped = save(tmp_path / "shipped", Stage.ECHO, 8, 0)
    save(tmp_path / "runs" / FOLDERS["echo-blk4"], Stage.ECHO, 4, 0)
    save(tmp_path / "runs" / FOLDERS["echo-dictated"], Stage.ECHO, 8, 0)

    rows = {row.name: row for row in _table(Subjects(shipped, tmp_path / "runs"), examples).measure()}

    assert {"ECHO blk4", "ECHO blk8", "ECHO blk8, dictated targets"} <= rows.keys()
    assert rows["ECHO blk4"].forwards_per_report > rows["ECHO blk8"].forwards_per_report


def test_rows_of_several_seeds_are_one_with_its_spread(
    tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch, examples: list[Example]
) -> None:
    """Mean and standard deviation over the seeds that have a row; one seed has no deviation."""
    for seed in (1, 2):
        for stage, kind in (("ar", Stage.AR), ("rad", Stage.BASE), ("dcd", Stage.ECHO)):
            save(tmp_path / f"seed-{seed}" / stage, kind, 8, seed)
    save(tmp_path / "seed-2" / "t3d", Stage.T3D, 8, 5)
    save(tmp_path / "seed-3" / "rad", Stage.BASE, 8, 3)  # not finished: it has no ECHO
    (tmp_path / "seed-1" / "rad" / "log.jsonl").write_text('{"tokens": 30}\n{"tokens": 10}\n')
    (tmp_path / "seed-2" / "rad" / "log.jsonl").write_text('{"tokens": 20}\n{"tokens": 10}\n')
    asked = []
    monkeypatch.setattr(commands, "held_out_examples", lambda *_: asked.append(1) or examples)

    lines = list(commands.measure_seeds(tmp_path, 2, 0, first_seed=700_000, as_json=True))
    again = list(commands.measure_seeds(tmp_path, 2, 0, first_seed=700_000, as_json=True))

    found = json.loads(lines[-1])
    rows = {row["name"]: row for row in found["rows"]}
    assert found["seeds"] == ["seed-1", "seed-2"]
    assert {"AR", "Base multi-step blk8", "Naive one-step blk8", "ECHO blk8"} <= rows.keys()
    assert (rows["AR"]["seeds"], rows["T3D blk8, 4 a step"]["seeds"]) == (2, 1)
    assert rows["AR"]["deviation"].keys() == rows["AR"]["mean"].keys()
    assert rows["T3D blk8, 4 a step"]["deviation"] == {}
    assert any("±" in line for line in lines)
    assert [one["stage"] for one in found["budget"]] == ["ar", "rad", "dcd"]
    assert (found["budget"][1]["steps"], found["budget"][1]["tokens"]) == (2, 35)
    assert (found["budget"][1]["minutes"], found["budget"][1]["cpu_minutes"]) == (1.0, 0.5)
    assert (lines, len(asked)) == (again, 2)  # each seed is measured once
    with pytest.raises(commands.SeedsError, match="no finished run"):
        list(commands.measure_seeds(tmp_path / "none", 2, 0, first_seed=700_000, as_json=False))


def test_spread_is_the_sample_deviation() -> None:
    """For 0.2 and 0.4: mean 0.3, deviation with n - 1; a figure that one seed lacks is left out."""
    figures = {
        "attribute_accuracy": 1.0, "unparseable": 0.0, "legal": 1.0, "rouge_l": 1.0,
        "tokens_per_forward": 1.0, "forwards_per_report": 1.0, "tokens_per_second": 1.0, "speed_vs_ar": None,
    }  # fmt: skip
    one, other = (
        Measured(name="AR", macro_f1=value, perplexity=ppl, **figures)  # type: ignore[arg-type]
        for value, ppl in ((0.2, 1.0), (0.4, None))
    )

    [row] = over_seeds([[one], [other]])

    assert row.mean["macro_f1"] == pytest.approx(0.3)
    assert row.deviation["macro_f1"] == pytest.approx(0.2 / 2**0.5)
    assert "perplexity" not in row.mean


def test_a_baseline_that_is_unequal_says_so(tmp_path: Path, save: Save, examples: list[Example]) -> None:
    """A baseline keeps its note until it is stored again without one."""
    shipped = save(tmp_path / "shipped", Stage.ECHO, 8, 0)
    other = save(tmp_path / "t3d", Stage.T3D, 8, 1)
    store_baseline(shipped, other, "t3d", "in fewer steps")
    noted = Subjects(shipped).get("t3d", Stage.T3D, 8)
    store_baseline(shipped, other, "t3d")
    plain = Subjects(shipped).get("t3d", Stage.T3D, 8)

    assert noted is not None
    assert plain is not None
    assert (noted.note, plain.note) == ("in fewer steps", "")


def test_every_row_names_a_known_network() -> None:
    """`make table-models` leaves a folder for each network that a row asks for."""
    assert {row.subject for row in ROWS} - {"echo"} == FOLDERS.keys()


def test_a_baseline_becomes_a_checkpoint_to_train_on_from(
    tmp_path: Path, save: Save, examples: list[Example]
) -> None:
    """It loads, has its own stage and the baseline's weights; a name that is not shipped is refused."""
    shipped = save(tmp_path / "shipped", Stage.ECHO, 8, 0)
    store_baseline(shipped, save(tmp_path / "base", Stage.BASE, 8, 1), "base")

    folder = unpack_baseline(shipped, "base", tmp_path / "unpacked")

    found, stored = load_checkpoint(folder), Subjects(shipped).get("base", Stage.BASE, 8)
    assert stored is not None
    assert found.config.stage is Stage.BASE
    expected = stored.backbone.network.state_dict()
    assert all(
        torch.equal(value, expected[name]) for name, value in found.backbone.network.state_dict().items()
    )
    with pytest.raises(DeltaError, match=r"no baseline 'ar'; it has \['base'\]"):
        unpack_baseline(shipped, "ar", tmp_path / "none")

"""The table in miniature: rows of networks that exist, each with its own tokenizer and block size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from model.evaluate.subjects import FOLDERS, Subjects, store_baseline
from model.evaluate.tables import ROWS, Table
from model.network.backbone import Backbone
from model.network.checkpoint import save_checkpoint
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
    """Writes a random network as a checkpoint of a stage."""

    def write(folder: Path, stage: Stage, block_size: int, seed: int) -> Path:
        config = make_config(stage=stage, block_size=block_size)
        save_checkpoint(folder, make_backbone(config, seed), config, tokenizer)
        (folder / "done").touch()
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
    """The shipped network and its baselines make the rows that they can make, in the table's order."""
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


def test_every_row_names_a_known_network() -> None:
    """`make table-models` leaves a folder for each network that a row asks for."""
    assert {row.subject for row in ROWS} - {"echo"} == FOLDERS.keys()

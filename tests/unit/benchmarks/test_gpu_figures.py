"""The one call on a GPU, rehearsed: its rows, its time, and its training steps in a toy shape."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_figures import Book, main
from benchmarks.gpu_training import training_rows
from model.errors import OutOfMemoryError


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    """Without time every row is there, each with its reason."""
    file = tmp_path / "figures.json"

    main(["--config", "toy", "--device", "cpu", "--seconds", "0", "--output", str(file)])

    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    assert {"tests/gpu", "decode, batch 32, fused", "int8", "fp8", "rad step, LoRA"} < rows.keys()
    assert "decode, batch 8, generate" in rows
    assert "decode, batch 32, generate" not in rows
    assert all("it needs" in row["skipped"] for row in rows.values())


def test_a_row_is_written_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    """What ran out of memory, of either class, is a row; the file is whole after each."""
    book = Book(tmp_path / "figures.json", {}, 60.0)

    def too_large() -> dict[str, object]:
        raise torch.OutOfMemoryError

    def no_slot() -> dict[str, object]:
        raise OutOfMemoryError("no slot")

    book.run("one", 0, lambda: {"figure": 1})
    book.run("two", 0, too_large)
    book.run("three", 0, no_slot)

    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["one", "two", "three"]
    assert ["memory" in row.get("skipped", "") for row in rows] == [False, True, True]


def test_the_time_is_hard(tmp_path: Path) -> None:
    """A row that would go on for ever ends with the call's time."""
    main(["--config", "toy", "--device", "cpu", "--seconds", "0", "--output", str(tmp_path / "none.json")])
    book = Book(tmp_path / "figures.json", {}, 0.5)

    def endless() -> dict[str, object]:
        while True:
            time.monotonic()

    book.run("endless", 0, endless)

    assert "time was over" in (tmp_path / "figures.json").read_text()


@pytest.mark.parametrize("number", [0, 1])
def test_training_steps_run_in_a_toy_shape(number: int) -> None:
    """RAD and DCD with adapters and checkpoints, by the code that a GPU runs."""
    rows = list(training_rows("toy", torch.device("cpu"), torch.float32))
    _name, measure = rows[number]

    assert measure()["step_seconds"] > 0

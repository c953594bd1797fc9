"""A rehearsal of the single GPU run: its rows, its time limit and its training steps in a toy shape."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_figures
from benchmarks.gpu_figures import SECTIONS, Book, main, what_lacks
from model.errors import OutOfMemoryError


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    """Without any time every row is present, each with the reason why it was skipped."""
    file = tmp_path / "figures.json"

    main(["--config", "toy", "--device", "cpu", "--seconds", "0", "--output", str(file)])

    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    assert {"tests/gpu", "decode, batch 32, fused", "int8", "fp8", "rad step, LoRA"} < rows.keys()
    assert "decode, batch 8, generate" in rows
    assert "decode, batch 32, generate" not in rows
    assert all("it needs" in row["skipped"] for row in rows.values())


def test_a_row_is_written_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    """An out-of-memory error of either class becomes a row; the file is complete after each row."""
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
    """An endless row is stopped when the run's time is up."""
    main(["--config", "toy", "--device", "cpu", "--seconds", "0", "--output", str(tmp_path / "none.json")])
    assert {row["skipped"] for row in json.loads((tmp_path / "none.json").read_text())["rows"]}
    book = Book(tmp_path / "figures.json", {}, 0.5)

    def endless() -> dict[str, object]:
        while True:
            time.monotonic()

    book.run("endless", 0, endless)

    assert "the time was up" in (tmp_path / "figures.json").read_text()


@pytest.mark.timeout(900)
def test_the_rehearsal_produces_every_section_with_its_keys(tmp_path: Path) -> None:
    """The code for the GPU runs in a toy shape: every decoder and batch, int8, FP8, RAD and DCD steps."""
    file = tmp_path / "figures.json"

    main(["--rehearse", "--seconds", "800", "--output", str(file)])

    content = json.loads(file.read_text())
    rows = {row["name"]: row for row in content["rows"]}
    assert (content["config"], rows.keys()) == ("toy", SECTIONS.keys())
    assert [name for name, row in rows.items() if "skipped" in row] == ["tests/gpu", "worker throughput"]
    assert all("peak_gib" in row for row in rows.values())
    assert rows["rad step, LoRA"]["step_seconds"] > 0


def test_a_rehearsal_that_lacks_something_fails() -> None:
    """A missing section, a skipped one and one without a key are named."""
    rows: list[dict[str, object]] = [
        {"name": name, **dict.fromkeys(keys, 1)} for name, keys in SECTIONS.items()
    ]
    assert what_lacks(rows, ()) == []

    del rows[1]["ms_per_forward"]
    rows[2] = {"name": rows[2]["name"], "skipped": "the time was over"}
    lacking = what_lacks(rows[:-1], ())

    assert lacking == [
        f"{rows[1]['name']}: lacks ms_per_forward",
        f"{rows[2]['name']}: the time was over",
        "dcd step, LoRA: it is not there",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_the_real_call_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a row nor a file is written, so an earlier result is not overwritten."""
    monkeypatch.setattr(gpu_figures, "_ROOT", tmp_path)

    with pytest.raises(SystemExit, match=r"needs a CUDA device: .* Nothing was measured"):
        main([])

    assert not list(tmp_path.iterdir())

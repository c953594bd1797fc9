"""Training data of a user's own: JSON lines with image files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.train.config import JsonLinesData
from model.train.json_lines import DataError, JsonLinesExamples


def _write(folder: Path, *records: dict[str, object]) -> Path:
    file = folder / "reports.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def test_a_line_becomes_an_example(tmp_path: Path) -> None:
    """Images are relative to the file; the answer has both parts; views default to frontal, then lateral."""
    Image.fromarray(np.full((8, 6), 99, dtype=np.uint8)).save(tmp_path / "a.png")
    record = {
        "id": 7,
        "images": ["a.png", "a.png"],
        "indication": "cough",
        "findings": " No mass. ",
        "impression": "Normal.",
    }

    example = JsonLinesExamples.open(JsonLinesData(file=_write(tmp_path, record)))[0]

    assert example.answer == "Findings: No mass. Impression: Normal."
    assert example.views == ("frontal", "lateral")
    assert example.images[0].shape == (8, 6)
    assert example.indication == "cough"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 1: not JSON"),
        ('{"id": 1, "images": ["a"], "findings": ""}', "lacks 'impression'"),
        ('{"id": 1, "images": [], "findings": "", "impression": ""}', "names no image"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    """The error says which line and what is wrong with it."""
    file = tmp_path / "reports.jsonl"
    file.write_text(line + "\n")

    with pytest.raises(DataError, match=reason):
        JsonLinesExamples.open(JsonLinesData(file=file))

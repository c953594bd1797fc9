"""Training data of a user's own: JSON lines with image files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from model.train.config import JsonLinesData
from model.train.json_lines import DataError, JsonLinesExamples
from model.train.study_line import record_problem, schema


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


def test_every_bad_line_is_named_before_training(tmp_path: Path) -> None:
    """All problems come in one message, with number and reason; or the lines are skipped and counted."""
    Image.fromarray(np.zeros((8, 6), dtype=np.uint8)).save(tmp_path / "a.png")
    good = {"id": 1, "images": ["a.png"], "findings": "No mass.", "impression": "Normal."}
    bad = [
        good,
        {**good, "id": 2, "images": ["b.png"]},
        {**good, "id": 3, "views": ["frontal", "lateral"]},
        {**good, "id": 1},
        {**good, "id": 5, "findings": " ", "impression": ""},
        {**good, "id": 6, "colour": "red"},
        {**good, "id": 7, "priors": [{"date": "20200101"}]},
    ]
    file = _write(tmp_path, *bad)
    said: list[str] = []

    with pytest.raises(DataError) as caught:
        JsonLinesExamples.open(JsonLinesData(file=file))
    skipped = JsonLinesExamples.open(JsonLinesData(file=file, bad_lines="skip"), said.append)

    text = str(caught.value)
    assert [number for number in range(1, 8) if f"line {number}:" in text] == [2, 3, 4, 5, 6, 7]
    assert "image 'b.png' is not there" in text
    assert "2 views are stated for 1 images" in text
    assert "id 1 is that of line 1" in text
    assert len(skipped) == 1
    assert "6 lines are skipped" in said[0]


def test_sixteen_bit_images_keep_their_bits(tmp_path: Path) -> None:
    """A detector's 4,096 values in a 16-bit file fill the range and stay apart; none is clipped."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "wide.png")
    record = {"id": 1, "images": ["wide.png"], "findings": "No mass.", "impression": ""}

    image = JsonLinesExamples.open(JsonLinesData(file=_write(tmp_path, record)))[0].images[0]

    assert (np.uint16, 0, 65535) == (image.dtype, image.min(), image.max())
    assert len(np.unique(image)) == 4096


def test_priors_become_the_comparison(tmp_path: Path) -> None:
    """In the words that serving uses, after a comparison that is stated."""
    Image.fromarray(np.zeros((8, 6), dtype=np.uint8)).save(tmp_path / "a.png")
    record = {
        "id": 1,
        "images": ["a.png"],
        "comparison": "CT.",
        "priors": [{"date": "2020", "report": "No mass. "}, {"report": "Normal."}],
        "findings": "No change.",
        "impression": "",
    }

    example = JsonLinesExamples.open(JsonLinesData(file=_write(tmp_path, record))).without_images(0)

    assert example.comparison == "CT. Report of 2020: No mass. Report: Normal."
    assert example.answer == "Findings: No change."


def test_hand_written_checks_are_those_of_the_schema() -> None:
    """Both say yes or no to the same lines."""
    good = {"id": 1, "images": ["a"], "findings": "x", "impression": "y"}
    cases = [good, {**good, "id": "s"}, {**good, "id": True}, {**good, "id": ""}, {**good, "id": None}]
    cases += [{k: v for k, v in good.items() if k != key} for key in good]
    keys = (*good, "views", "indication", "priors", "split", "odd")
    values: list[object] = [None, 5, "text", [], ["frontal"], [5], {}, [{}], [{"report": "r"}]]
    values += [[{"report": 5}], [{"report": "r", "images": [""]}], [{"report": "r", "odd": 1}]]
    cases += [{**good, key: value} for key in keys for value in values]
    validator = jsonschema.Draft202012Validator(schema())

    for case in cases:
        # What no schema says: as many views as images, and something in the report.
        stated = case.get("views")
        expected = validator.is_valid(case) and not (isinstance(stated, list) and len(stated) != 1)
        assert expected == (not record_problem(case)), case

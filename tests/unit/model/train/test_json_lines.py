"""A user's own training data: JSON lines with image files."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jsonschema
import numpy as np
import pytest
from PIL import Image

from model.train import line_index, line_watch
from model.train.config import JsonLinesData, StageConfig
from model.train.image_files import read_image
from model.train.json_lines import JsonLinesExamples
from model.train.line_check import Bad, FileCheck, LineReader, kept_verdict
from model.train.line_index import DataError
from model.train.parallel import Processes
from model.train.stages import ArStage, Materials, Setting
from model.train.study_line import line_problem, record_problem, schema


def _write(folder: Path, *records: dict[str, object]) -> Path:
    file = folder / "reports.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def test_a_line_becomes_an_example(tmp_path: Path) -> None:
    """Paths are relative to the file; the answer has both parts; views default to frontal, then lateral."""
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
        ('{"id": 1, "images": ["a"], "id": 2}', "line 1: the key 'id' stands twice in one object"),
        ('{"id": 1, "priors": [{"report": "", "report": ""}]}', "the key 'report' stands twice"),
        ('{"id": 1, "images": ["a"], "findings": ""}', "lacks 'impression'"),
        ('{"id": 1, "images": [], "findings": "", "impression": ""}', "names no image"),
        ('{"id": 1, "image": "a", "conversations": []}', "lacks 'images': a conversation; write the answer"),
        ('{"id": 1, "images": ["a"], "report": "x"}', "lacks 'findings': split the report into"),
        ('{"id": 1, "images": ["a"], "findings": "\\ud800", "impression": ""}', "half of a surrogate pair"),
        ("[" * 100_000, "not JSON that can be read"),
        ('{"id": ' + "9" * 5_000 + "}", "not JSON that can be read"),
        ("id,findings,impression", "each line must be one study, a JSON object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    """The error gives the line and the problem."""
    file = tmp_path / "reports.jsonl"
    file.write_text(line + "\n")

    with pytest.raises(DataError, match=reason):
        JsonLinesExamples.open(JsonLinesData(file=file))


def test_every_bad_line_is_named_before_training(tmp_path: Path) -> None:
    """All problems are in one message, with line number and reason; or the lines are skipped and counted."""
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
    with pytest.raises(DataError, match="more than the share that may be skipped"):
        JsonLinesExamples.open(JsonLinesData(file=file, bad_lines="skip"))
    skipped = JsonLinesExamples.open(
        JsonLinesData(file=file, bad_lines="skip", most_skipped=0.9), said.append
    )

    text = str(caught.value)
    assert [number for number in range(1, 8) if f"line {number}:" in text] == [2, 3, 4, 5, 6, 7]
    assert "image 'b.png' is not there" in text
    assert "2 views are stated for 1 images" in text
    assert "id 1 is that of line 1" in text
    assert "5 of 7 lines are skipped:\n  line 2: image 'b.png' is not there" in said[0]
    assert "1 of 7 lines repeat the id of another; they are used:\n  line 4: id 1" in said[1]
    assert [skipped.without_images(i).id for i in range(7)] == ["1", "1", "1", "1", "1", "1", "1"]
    assert [skipped.answer_length(i) for i in (0, 4)] == [len(skipped[0].answer)] * 2


def test_sixteen_bit_images_keep_their_bits(tmp_path: Path) -> None:
    """A detector's 4,096 values in a 16-bit file fill the range and stay distinct; none is clipped."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "wide.png")
    record = {"id": 1, "images": ["wide.png"], "findings": "No mass.", "impression": ""}

    image = JsonLinesExamples.open(JsonLinesData(file=_write(tmp_path, record)))[0].images[0]

    assert (np.uint16, 0, 65535) == (image.dtype, image.min(), image.max())
    assert len(np.unique(image)) == 4096


def test_priors_become_the_comparison(tmp_path: Path) -> None:
    """They are worded as in serving, and follow a stated comparison."""
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
    """Both accept and refuse the same lines."""
    good = {"id": 1, "images": ["a"], "findings": "x", "impression": "y"}
    cases = [good, {**good, "id": "s"}, {**good, "id": True}, {**good, "id": ""}, {**good, "id": None}]
    cases += [{k: v for k, v in good.items() if k != key} for key in good]
    keys = (*good, "views", "indication", "priors", "split", "odd")
    values: list[object] = [None, 5, "text", [], ["frontal"], [5], {}, [{}], [{"report": "r"}]]
    values += [[{"report": 5}], [{"report": "r", "images": [""]}], [{"report": "r", "odd": 1}]]
    cases += [{**good, key: value} for key in keys for value in values]
    validator = jsonschema.Draft202012Validator(schema())

    for case in cases:
        # The schema cannot state: as many views as images, and a report that is not empty.
        stated = case.get("views")
        expected = validator.is_valid(case) and not (isinstance(stated, list) and len(stated) != 1)
        assert expected == (not record_problem(case)), case


def _many(folder: Path, count: int, bad: set[int]) -> Path:
    """Write a file of `count` studies; the lines with the numbers `bad` name a missing image."""
    Image.fromarray(np.zeros((8, 6), dtype=np.uint8)).save(folder / "a.png")
    record = {"findings": "No mass.", "impression": "Normal."}
    lines = [
        {**record, "id": number, "images": ["gone.png" if number in bad else "a.png"]}
        for number in range(1, count + 1)
    ]
    return _write(folder, *lines)


def test_a_large_file_is_checked_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad line after the first ones ends the run when it is found; the verdict is kept for the next run."""
    monkeypatch.setattr(line_watch, "_AT_ONCE", 4)
    file = _many(tmp_path, 40, {30})

    examples = JsonLinesExamples.open(JsonLinesData(file=file))
    with pytest.raises(DataError, match=r"line 30: image 'gone\.png' is not there"):
        examples.finish_check()
    with pytest.raises(DataError, match="line 30"):
        examples.without_images(0)

    said: list[str] = []
    skipping = JsonLinesData(file=file, bad_lines="skip", most_skipped=0.1)
    JsonLinesExamples.open(skipping, said.append).finish_check()
    assert said == [f"{file}: 1 of 40 lines are skipped:\n  line 30: image 'gone.png' is not there"]
    assert kept_verdict(file) == FileCheck(lines=40, bad=(Bad(30, "image 'gone.png' is not there"),))
    with pytest.raises(DataError, match="line 30"):
        JsonLinesExamples.open(JsonLinesData(file=file))


def test_a_verdict_is_not_that_of_a_changed_file(tmp_path: Path) -> None:
    """If size or modification time differ, or the verdict is incomplete, the lines are checked again."""
    file = _many(tmp_path, 5, set())
    JsonLinesExamples.open(JsonLinesData(file=file))
    assert kept_verdict(file) == FileCheck(lines=5, bad=())

    (tmp_path / "reports.jsonl.checked").write_text('{"file": [')
    assert kept_verdict(file) is None
    JsonLinesExamples.open(JsonLinesData(file=file))
    assert kept_verdict(file) == FileCheck(lines=5, bad=())
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert kept_verdict(file) is None
    JsonLinesExamples.open(JsonLinesData(file=file))
    file.write_text(file.read_text() + "{\n")
    with pytest.raises(DataError, match="line 6: not JSON"):
        JsonLinesExamples.open(JsonLinesData(file=file))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\r\n", []),
        (b"one\n\ntwo\r\n\r\nx", [(1, b"one\n"), (3, b"two\r\n"), (5, b"x")]),
        (b"one\ntwo\nthree", [(1, b"one\n"), (2, b"two\n"), (3, b"three")]),
    ],
)
def test_lines_are_found_by_their_newlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, expected: list[tuple[int, bytes]]
) -> None:
    """Blank lines are skipped but counted; a line may span two reads; the last one may lack its newline."""
    monkeypatch.setattr(line_index, "_CHUNK", 5)
    file = tmp_path / "lines"
    file.write_bytes(content)

    index = line_index.index_lines(file)
    reader = LineReader(file, index)

    assert [(int(number), reader.line(place)) for place, number in enumerate(index.numbers)] == expected
    assert len(line_index.index_lines(file, limit=1)) == min(1, len(expected))


def test_repeated_ids_do_not_count_as_skipped(tmp_path: Path) -> None:
    """With `skip`, a line that repeats an id is used, so such lines never end the run."""
    Image.fromarray(np.zeros((8, 6), dtype=np.uint8)).save(tmp_path / "a.png")
    record = {"id": 1, "images": ["a.png"], "findings": "No mass.", "impression": "Normal."}
    file = _write(tmp_path, *[record] * 5)
    said: list[str] = []

    examples = JsonLinesExamples.open(JsonLinesData(file=file, bad_lines="skip"), said.append)

    assert len(examples) == 5
    assert [text.splitlines()[0] for text in said] == [
        f"{file}: 4 of 5 lines repeat the id of another; they are used:"
    ]


def _with_damaged(folder: Path, count: int, damaged: set[int]) -> Path:
    """Write a file of studies whose reports state their number; `damaged` ones have a truncated image."""
    whole = folder / "whole.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)).save(whole)
    (folder / "cut.png").write_bytes(whole.read_bytes()[:900])
    return _write(
        folder,
        *(
            {
                "id": number,
                "images": ["cut.png" if number in damaged else "whole.png"],
                "findings": f"Study {number}.",
                "impression": "",
            }
            for number in range(1, count + 1)
        ),
    )


def test_an_undecodable_image_is_skipped_with_its_report(tmp_path: Path) -> None:
    """With `skip`, the next good study replaces it, both image and report; the line is reported once."""
    file = _with_damaged(tmp_path, 20, {4, 5})
    said: list[str] = []
    examples = JsonLinesExamples.open(
        JsonLinesData(file=file, bad_lines="skip", most_skipped=0.2), said.append
    )
    length = examples.answer_length(3)

    drawn = [examples[3], examples[4], examples[5]]

    assert [example.id for example in drawn] == ["6", "6", "6"]
    assert [examples.without_images(i).answer for i in (3, 4)] == ["Findings: Study 6."] * 2
    assert examples.undecodable == {3, 4}
    assert examples.answer_length(3) == length
    assert said == [
        f"{file}, line {n}: image 'cut.png' cannot be decoded (OSError); the next good line is used instead"
        for n in (4, 5)
    ]


def test_too_many_undecodable_images_end_a_run_that_skips(tmp_path: Path) -> None:
    """They count towards `most_skipped` along with bad lines; with `refuse`, the first one ends the run."""
    file = _with_damaged(tmp_path, 20, {4, 5})

    with pytest.raises(DataError, match=r"line 4: image 'cut\.png' cannot be decoded"):
        JsonLinesExamples.open(JsonLinesData(file=file))[3]
    examples = JsonLinesExamples.open(JsonLinesData(file=file, bad_lines="skip", most_skipped=0.05))
    with pytest.raises(DataError, match="2 of 20 lines are bad, more than the share"):
        examples[3]


@pytest.mark.parametrize("kept", ["none", "disk"])
def test_an_answer_is_that_of_the_image_beside_it(
    tmp_path: Path, make_materials: Callable[..., Materials], kept: Literal["none", "disk"]
) -> None:
    """A step uses the report of the study that replaces an undecodable one, whether or not tokens are kept.

    The second run finds the tokens on disk, and knows their study without decoding an image.
    """
    data = JsonLinesData(file=_with_damaged(tmp_path, 8, {2}), bad_lines="skip", most_skipped=0.5)
    setting = Setting(processes=Processes.join(), folder=tmp_path / "features", features=kept)
    section = StageConfig(steps=1, batch=8, rate=1e-3, freeze_vision=True, validation_examples=1)

    for _ in range(2):
        materials = make_materials(setting)
        materials.examples = JsonLinesExamples.open(data)
        rows = ArStage(materials, section).batch(0, range(8)).rows
        answers = [materials.tokenizer.decode(row.tolist()) for row in rows["answer"]]

        assert sorted(re.findall(r"\d", " ".join(answers))) == ["1", "3", "3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize("checked", [False, True])
def test_the_first_step_parses_a_few_lines_of_a_large_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_materials: Callable[..., Materials],
    alone: Setting,
    checked: bool,
) -> None:
    """Only drawn lines are parsed, apart from the first lines, which are checked unless the file was before.

    The lines share a few images, and only the drawn ones are opened.
    """
    file, count, batch = _many(tmp_path, 3_000, set()), 3_000, 4
    monkeypatch.setattr(line_watch, "_AT_ONCE", 500)
    if checked:
        JsonLinesExamples.open(JsonLinesData(file=file)).finish_check()
    monkeypatch.setattr(line_watch.LineWatch, "_go_on", lambda _: None)  # the background check
    counted: Counter[str] = Counter()

    def counting(place: str, function: Callable[[Any], Any]) -> None:
        def counts(value: Any) -> Any:
            counted[place] += 1
            return function(value)

        monkeypatch.setattr(f"model.train.{place}", counts)

    counting("line_check.line_problem", line_problem)
    counting("json_lines.read_image", read_image)

    materials = make_materials(replace(alone, features="none"))
    materials.examples = JsonLinesExamples.open(JsonLinesData(file=file))
    at_once = counted["line_check.line_problem"]
    section = StageConfig(steps=1, batch=batch, rate=1e-3, freeze_vision=True, validation_examples=1)
    ArStage(materials, section).batch(0, range(batch))

    # The lengths of eight batches are needed at once; a drawn line is parsed for its texts and its images.
    assert (len(materials.examples), at_once) == (count, 0 if checked else 500)
    assert counted["line_check.line_problem"] - at_once <= 8 * batch + 2 * batch
    assert counted["json_lines.read_image"] == batch

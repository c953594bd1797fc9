"""A user's own studies: JSON lines with image files, indexed before the first step, read when drawn.

The format is `model/train/study.schema.json` and docs/training.md. The index holds where each line begins
and how long its answer is; a line is parsed again when its study is drawn, and its images are opened only
then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.errors import ModelError
from model.phantom.studies import Example
from model.train.config import JsonLinesData
from model.train.image_files import ImageFileError, image_problem, read_image
from model.train.study_line import answer_of, comparison_of, line_problem, views_of

_SHOWN = 20  # bad lines that a message names


class DataError(ModelError):
    """A data file has lines that cannot be trained on; the text names each by number and reason."""

    code = "training_data"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Lines of a file that can be trained on, and what is wrong with the others.

    starts, numbers, lengths: byte offset, number from 1, and characters of the answer of each good line.
    bad: number and reason.
    """

    starts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]
    bad: tuple[tuple[int, str], ...]


def index_lines(file: Path, *, limit: int | None = None, open_images: bool = False) -> Index:
    """Reads a file once from end to end.

    limit: so many lines from the start. open_images: decode every image, which finds damaged ones (slow);
    otherwise an image only has to be there. Raises: DataError where the file cannot be read.
    """
    starts, numbers, lengths = [], [], []
    bad: list[tuple[int, str]] = []
    ids: dict[str, int] = {}
    images = _ImageCheck(file.parent, open_images=open_images)
    try:
        with file.open("rb") as stream:
            place = 0
            for number, line in enumerate(stream, 1):
                start, place = place, place + len(line)
                if limit is not None and number > limit:
                    break
                if not line.strip():
                    continue
                problem, record = line_problem(line)
                problem = problem or _repeated(record, number, ids) or images.problem(record)
                if problem:
                    bad.append((number, problem))
                    continue
                starts.append(start)
                numbers.append(number)
                lengths.append(len(answer_of(record)))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); name an existing file") from error
    return Index(
        starts=np.array(starts, dtype=np.int64),
        numbers=np.array(numbers, dtype=np.int64),
        lengths=np.array(lengths, dtype=np.int64),
        bad=tuple(bad),
    )


class _ImageCheck:
    """Whether a line's images can be used; each file is looked at once."""

    def __init__(self, folder: Path, *, open_images: bool) -> None:
        self._folder, self._open = folder, open_images
        self._known: dict[str, str] = {}

    def problem(self, record: dict[str, Any]) -> str:
        """What is wrong with the first bad image, or nothing."""
        for name in record["images"]:
            if name not in self._known:
                path = self._folder / name
                self._known[name] = image_problem(path) if self._open else _missing(path)
            if self._known[name]:
                return f"image {name!r} {self._known[name]}"
        return ""


def _missing(path: Path) -> str:
    return "" if path.is_file() else "is not there"


def _repeated(record: dict[str, Any], number: int, ids: dict[str, int]) -> str:
    first = ids.setdefault(str(record["id"]), number)
    return f"id {record['id']!r} is that of line {first}" if first != number else ""


class JsonLinesExamples(Sequence[Example]):
    """The studies of a file, in its order."""

    def __init__(self, file: Path, index: Index) -> None:
        self._file, self._index = file, index

    @classmethod
    def open(cls, data: JsonLinesData, say: Callable[[str], None] = lambda _: None) -> Self:
        """Indexes a file.

        say: receives a line where lines are skipped. Raises: DataError with the number and reason of the
        bad lines where they are refused, or where no line is left.
        """
        index = index_lines(data.file, limit=data.limit)
        if index.bad and data.bad_lines == "refuse":
            raise DataError(
                f"{data.file} has {len(index.bad)} lines that cannot be trained on; correct them, or set "
                f"bad_lines: skip:\n{listed(index.bad)}"
            )
        if index.bad:
            say(f"{data.file}: {len(index.bad)} lines are skipped:\n{listed(index.bad)}")
        if not len(index.starts):
            raise DataError(f"{data.file} has no line to train on")
        return cls(data.file, index)

    def __len__(self) -> int:
        return len(self._index.starts)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        """A study with its images.

        Raises: DataError, naming the line, where an image has been damaged or removed since it was indexed.
        """
        record = self._record(index)
        try:
            images = tuple(read_image(self._file.parent / name) for name in record["images"])
        except ImageFileError as error:
            number = int(self._index.numbers[index])
            raise DataError(f"{self._file}, line {number}: {error}") from error
        return _example(record, images)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def without_images(self, index: int) -> Example:
        """A study with its texts alone: no image is opened."""
        return _example(self._record(index), ())

    def answer_length(self, index: int) -> int:
        """Characters of a study's answer."""
        return int(self._index.lengths[index])

    def identity(self) -> str:
        """The file, its size and its time of change."""
        found = self._file.stat()
        return f"{self._file.resolve()} {found.st_size} {found.st_mtime_ns}"

    def _record(self, index: int) -> dict[str, Any]:
        with self._file.open("rb") as stream:
            stream.seek(int(self._index.starts[index]))
            record: dict[str, Any] = json.loads(stream.readline())
        return record


def listed(bad: Sequence[tuple[int, str]]) -> str:
    """Bad lines, one under the other, the first of them where there are many."""
    lines = [f"  line {number}: {reason}" for number, reason in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    return "\n".join(lines)


def _example(record: dict[str, Any], images: tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]) -> Example:
    return Example(
        id=str(record["id"]),
        images=images,
        views=views_of(record),
        answer=answer_of(record),
        indication=record.get("indication"),
        comparison=comparison_of(record),
    )

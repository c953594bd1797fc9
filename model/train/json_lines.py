"""A user's own studies: JSON lines with image files, found by one scan, read when they are drawn.

The format is `model/train/study.schema.json` and docs/training.md. Before the first step only the places of
the lines are known; a line is parsed when its study is drawn, and its images are opened only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.phantom.studies import Example
from model.train.config import JsonLinesData
from model.train.image_files import ImageFileError, read_image
from model.train.line_check import LineReader
from model.train.line_index import DataError, index_lines
from model.train.line_watch import LineWatch
from model.train.study_line import answer_of, comparison_of, views_of


class JsonLinesExamples(Sequence[Example]):
    """The studies of a file, in its order.

    Where bad lines are skipped, the next good line of the file takes the place of one, so that what a step
    draws depends on the file alone and not on how far the check has come.
    """

    def __init__(self, reader: LineReader, *, skip: bool, watch: LineWatch | None = None) -> None:
        self._reader, self._skip, self._watch = reader, skip, watch
        self._file, self._index = reader.file, reader.index
        found = self._file.stat()
        self._identity = f"{self._file.resolve()} {found.st_size} {found.st_mtime_ns}"

    @classmethod
    def open(
        cls, data: JsonLinesData, say: Callable[[str], None] = lambda _: None, *, watched: bool = True
    ) -> Self:
        """Indexes a file and begins to check it.

        say: receives a line where lines are skipped. watched: whether this process checks the lines; one of
        a group does. Raises: DataError where the file cannot be read, has no line, or has bad lines among
        its first ones that are not to be skipped.
        """
        index = index_lines(data.file, data.limit)
        if not len(index):
            raise DataError(f"{data.file} has no line to train on")
        reader = LineReader(data.file, index)
        watch = LineWatch(reader, data, say) if watched else None
        return cls(reader, skip=data.bad_lines == "skip", watch=watch)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        """A study with its images.

        Raises: DataError, naming the line, where it is bad and not to be skipped, where an image cannot be
        decoded, or where the check of the file has failed meanwhile.
        """
        number, record = self._record(index)
        try:
            images = tuple(read_image(self._file.parent / name) for name in record["images"])
        except ImageFileError as error:
            raise DataError(f"{self._file}, line {number}: {error}") from error
        return _example(record, images)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def without_images(self, index: int) -> Example:
        """A study with its texts alone: no image is opened."""
        return _example(self._record(index)[1], ())

    def answer_length(self, index: int) -> int:
        """Characters of a study's answer."""
        return len(answer_of(self._record(index)[1]))

    def identity(self) -> str:
        """The file, its size and its time of change when it was opened."""
        return self._identity

    def finish_check(self) -> None:
        """Waits until every line is checked. Raises: DataError where the run must not count."""
        if self._watch is not None:
            self._watch.finish()

    def _record(self, index: int) -> tuple[int, dict[str, Any]]:
        """The number and content of a line, or of the next good one where bad lines are skipped."""
        if self._watch is not None:
            self._watch.require()
        count = len(self._index)
        for place in range(index, index + count):
            problem, record = self._reader.study(place % count)
            number = int(self._index.numbers[place % count])
            if not problem:
                return number, record
            if not self._skip:
                raise DataError(f"{self._file}, line {number}: {problem}")
        raise DataError(f"{self._file} has no line to train on")


def _example(record: dict[str, Any], images: tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]) -> Example:
    return Example(
        id=str(record["id"]),
        images=images,
        views=views_of(record),
        answer=answer_of(record),
        indication=record.get("indication"),
        comparison=comparison_of(record),
    )

"""A user's own studies: JSON lines with image files, indexed by one scan and read when they are drawn.

The format is `model/train/study.schema.json` and docs/training.md. Before the first step only the positions
of the lines are known; a line is parsed, and its images are opened, when its study is drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.phantom.studies import Example
from model.train.config import JsonLinesData
from model.train.image_files import ImageFileError, read_image
from model.train.line_check import LineReader
from model.train.line_index import DataError, index_lines
from model.train.line_watch import LineWatch, Say
from model.train.study_line import answer_of, comparison_of, views_of


class JsonLinesExamples(Sequence[Example]):
    """The studies in a file, in order.

    If bad lines are skipped, the next good line of the file takes the place of a bad one, so that what a step
    draws depends only on the file and not on the progress of the check.
    """

    def __init__(
        self, reader: LineReader, data: JsonLinesData, say: Say, *, watch: LineWatch | None = None
    ) -> None:
        self._reader, self._data, self._say, self._watch = reader, data, say, watch
        self._file, self._index = reader.file, reader.index
        self._undecodable: set[int] = set()  # places of lines
        self._leaving_out = threading.Lock()  # several threads prepare steps
        found = self._file.stat()
        self._identity = f"{self._file.resolve()} {found.st_size} {found.st_mtime_ns}"

    @classmethod
    def open(cls, data: JsonLinesData, say: Say = lambda _: None, *, watched: bool = True) -> Self:
        """Indexes a file and starts checking it.

        say: called with a line of text when lines are skipped. watched: whether this process checks the
        lines; one of a group does. Raises: DataError if the file cannot be read, has no line, or has bad
        lines among its first ones that must not be skipped.
        """
        index = index_lines(data.file, data.limit)
        if not len(index):
            raise DataError(f"{data.file} has no line to train on")
        reader = LineReader(data.file, index)
        watch = LineWatch(reader, data, say) if watched else None
        return cls(reader, data, say, watch=watch)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        """A study with its images; if bad lines are skipped, one whose images can be decoded.

        Raises:
            DataError, naming the line, if it is bad or an image cannot be decoded and it must not be skipped,
                if too many lines are bad, or if the check of the file has failed meanwhile.
        """
        while True:
            place, record = self._record(index)
            try:
                images = tuple(read_image(self._file.parent / name) for name in record["images"])
            except ImageFileError as error:
                problem = f"{self._file}, line {self._index.numbers[place]}: {error}"
                if self._data.bad_lines != "skip":
                    raise DataError(problem) from error
                self._leave_out(place, problem)
            else:
                return _example(record, images)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def without_images(self, index: int) -> Example:
        """A study with only its texts: no image is opened.

        It is the study that `[index]` returns, once its images have been requested.
        """
        return _example(self._record(index)[1], ())

    def answer_length(self, index: int) -> int:
        """Length (characters) of a study's answer; the same before and after its images turn out to be
        undecodable.
        """
        return len(answer_of(self._record(index, decodable=False)[1]))

    @property
    def undecodable(self) -> frozenset[int]:
        """Positions of the lines skipped because an image cannot be decoded, as far as known."""
        return frozenset(self._undecodable)

    def skip_undecodable(self, places: Iterable[int]) -> None:
        """Skips lines whose images another process, or an earlier run, could not decode."""
        self._undecodable.update(places)

    def identity(self) -> str:
        """The file, its size and its modification time when it was opened."""
        return self._identity

    def finish_check(self) -> None:
        """Waits until every line is checked. Raises: DataError if the run must not count."""
        if self._watch is not None:
            self._watch.finish()

    def _record(self, index: int, *, decodable: bool = True) -> tuple[int, dict[str, Any]]:
        """The position and content of a line, or of the next good one if bad lines are skipped.

        decodable: also skip the lines whose images are known to be damaged.
        """
        if self._watch is not None:
            self._watch.require()
        count = len(self._index)
        for place in (number % count for number in range(index, index + count)):
            if decodable and place in self._undecodable:
                continue
            problem, record = self._reader.study(place)
            if not problem:
                return place, record
            if self._data.bad_lines != "skip":
                raise DataError(f"{self._file}, line {self._index.numbers[place]}: {problem}")
        raise DataError(f"{self._file} has no line to train on")

    def _leave_out(self, place: int, problem: str) -> None:
        """Skips a line from now on. Raises: DataError if that makes too many."""
        with self._leaving_out:
            if place in self._undecodable:
                return
            self._undecodable.add(place)
            self._say(f"{problem}; the next good line is used instead")
            known = frozenset() if self._watch is None else self._watch.skipped
            skipped = known | {int(self._index.numbers[place]) for place in self._undecodable}
        if len(skipped) > self._data.most_skipped * len(self._index):
            raise DataError(
                f"{problem}; {len(skipped)} of {len(self._index)} lines are bad, more than the share that "
                f"may be skipped (most_skipped: {self._data.most_skipped}); "
                f"echo-model data check --images {self._file} names all of them"
            )


def _example(record: dict[str, Any], images: tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]) -> Example:
    return Example(
        id=str(record["id"]),
        images=images,
        views=views_of(record),
        answer=answer_of(record),
        indication=record.get("indication"),
        comparison=comparison_of(record),
    )

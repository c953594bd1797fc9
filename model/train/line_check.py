"""Checks whether every line of a data file can be trained on, in the background of a run.

A large file takes minutes on a slow disk, so a run does not wait for it. The verdict is stored next to the
file (`NAME.checked`) and is valid as long as the file has the same size and modification time.
"""

from __future__ import annotations

import contextlib
import json
import os
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from model.train.image_files import image_problem
from model.train.line_index import LineIndex
from model.train.study_line import line_problem

_SHOWN = 20  # bad lines that a message names
_SUFFIX = ".checked"


class Bad(NamedTuple):
    """A line's number and what is wrong with it. repeated: the only fault is that its id is an earlier
    line's.
    """

    number: int
    reason: str
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """The result of checking a whole file. lines: the number of checked lines."""

    lines: int
    bad: tuple[Bad, ...]


class LineReader:
    """Reads single lines of a file that stays open; may be shared between threads."""

    def __init__(self, file: Path, index: LineIndex) -> None:
        self.file, self.index = file, index
        self._file = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def line(self, place: int) -> bytes:
        """The bytes of a line, by its place in the index."""
        start = int(self.index.starts[place])
        return os.pread(self._file, int(self.index.stops[place]) - start, start)

    def study(self, place: int) -> tuple[str, dict[str, Any]]:
        """What is wrong with a line (empty if it can be trained on), and its content."""
        problem, record = line_problem(self.line(place))
        return problem or missing_image(self.file.parent, record), record


def missing_image(folder: Path, record: dict[str, Any]) -> str:
    """Names an image of a study that does not exist; empty if all exist."""
    for name in record["images"]:
        if not os.path.isfile(os.path.join(folder, name)):
            return f"image {name[:100]!r} is not there"
    return ""


def check_lines(reader: LineReader, *, open_images: bool = False) -> Iterator[Bad | None]:
    """For each line None, or what is wrong with it.

    open_images: also decodes every image, which finds damaged ones (slow).
    """
    ids: dict[str, int] = {}
    for place in range(len(reader.index)):
        number = int(reader.index.numbers[place])
        problem, record = reader.study(place)
        if open_images and not problem:
            problem = _damaged(reader.file.parent, record)
        if problem:
            yield Bad(number, problem)
        else:
            first = ids.setdefault(str(record["id"]), number)
            reason = f"id {record['id']!r} is that of line {first}"
            yield Bad(number, reason, repeated=True) if first != number else None


def check_file(reader: LineReader, *, open_images: bool = False) -> FileCheck:
    """Checks a file from end to end and stores the verdict next to it."""
    bad = tuple(found for found in check_lines(reader, open_images=open_images) if found is not None)
    verdict = FileCheck(lines=len(reader.index), bad=bad)
    keep_verdict(reader.file, verdict)
    return verdict


def _damaged(folder: Path, record: dict[str, Any]) -> str:
    for name in record["images"]:
        if problem := image_problem(folder / name):
            return f"image {name!r} {problem}"
    return ""


def kept_verdict(file: Path) -> FileCheck | None:
    """The verdict of an earlier check of the file as it is now."""
    try:
        kept = json.loads(_beside(file).read_text(encoding="utf-8"))
        if kept["file"] != _state(file):
            return None
        return FileCheck(lines=kept["lines"], bad=tuple(Bad(*entry) for entry in kept["bad"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or an interrupted check left an incomplete one


def keep_verdict(file: Path, verdict: FileCheck) -> None:
    """Stores a verdict next to its file; if the folder is not writable, the next run checks again."""
    content = {"file": _state(file), "lines": verdict.lines, "bad": verdict.bad}
    with contextlib.suppress(OSError):
        _beside(file).write_text(json.dumps(content), encoding="utf-8")


def _beside(file: Path) -> Path:
    return file.with_name(file.name + _SUFFIX)


def _state(file: Path) -> list[int]:
    """Size and modification time."""
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def listed(bad: Sequence[Bad]) -> str:
    """Bad lines, one to a line; only the first ones if there are many."""
    lines = [f"  line {one.number}: {one.reason}" for one in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    return "\n".join(lines)

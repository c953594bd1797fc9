"""Finds where the lines of a data file begin, by one scan for newlines, without parsing a line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from model.errors import ModelError

_CHUNK = 1 << 24  # bytes read at once
_NEWLINE = 10


class DataError(ModelError):
    """A data file has lines that cannot be trained on; the text names each by number and reason."""

    code = "training_data"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LineIndex:
    """The lines of a file, without blank ones.

    starts, stops: byte offsets of each line, its newline included. numbers: of each line in the file, from 1.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


def index_lines(file: Path, limit: int | None = None) -> LineIndex:
    """Scans a file for its lines.

    limit: only this many lines, from the first. Raises: DataError if the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            stops = _line_stops(stream, limit)
            starts = np.concatenate([np.zeros(1, dtype=np.int64), stops[:-1]])[: len(stops)]
            kept = np.ones(len(stops), dtype=np.bool_)
            for place in np.flatnonzero(stops - starts <= len("\r\n")):
                stream.seek(int(starts[place]))
                kept[place] = bool(stream.read(int(stops[place] - starts[place])).strip())
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); name an existing file") from error
    return LineIndex(starts=starts[kept], stops=stops[kept], numbers=np.flatnonzero(kept) + 1)


def _line_stops(stream: BinaryIO, limit: int | None) -> NDArray[np.int64]:
    """The byte offset of the end of each line, for at most `limit` lines."""
    found: list[NDArray[np.int64]] = []
    size = seen = 0
    while (limit is None or seen < limit) and (chunk := stream.read(_CHUNK)):
        ends = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == _NEWLINE).astype(np.int64)
        found.append(ends + (size + 1))
        size, seen = size + len(chunk), seen + len(ends)
    stops = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
    if size > (int(stops[-1]) if len(stops) else 0):
        stops = np.append(stops, size)  # the last line has no newline
    return stops[:limit]

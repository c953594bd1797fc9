"""CSV files of published data sets, plain or gzipped, as dictionaries; a missing column is an error."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from model.train.sources.study import SourceError


def rows_of(file: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file. Raises: SourceError where it is not there or lacks one of the columns."""
    csv.field_size_limit(sys.maxsize)  # whole reports stand in one field
    try:
        with _opened(file) as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(f"{file} has no column {missing[0]!r}")
            for row in reader:
                yield {key: value or "" for key, value in row.items() if key is not None}
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise SourceError(f"{file} cannot be read ({type(error).__name__})") from error


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def the_file(folder: Path, *patterns: str) -> Path:
    """The one file of a folder that fits the first pattern that any fits. Raises: SourceError."""
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise SourceError(f"{folder} holds no {patterns[0]}; is it the data set's own folder?")

"""CSV files of published data sets, plain or gzipped, as dictionaries; a missing column is an error."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from model.train.sources.study import SourceError

_LONGEST_FIELD = 1_000_000  # characters; a field may contain a whole report, but no report is this long


def rows_of(file: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file.

    Raises:
        SourceError if it does not exist, lacks one of the columns, or a row has too many fields or ends
            before one of the columns: after an unquoted comma or quotation mark, values are in the wrong
            columns.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        with _opened(file) as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(f"{file} has no column {missing[0]!r}")
            for row in reader:
                if None in row or any(row[column] is None for column in columns):
                    stated = len(reader.fieldnames or ())
                    raise SourceError(
                        f"{file}: the row that ends in line {reader.line_num} does not have the {stated} "
                        "fields of the header; a comma or a quotation mark in it is not quoted"
                    )
                yield {key: value or "" for key, value in row.items()}
    except csv.Error as error:
        raise SourceError(f"{file} cannot be read as CSV ({error})") from error
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise SourceError(f"{file} cannot be read ({type(error).__name__})") from error


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def the_file(folder: Path, *patterns: str) -> Path:
    """The only file in a folder that matches the first matching pattern. Raises: SourceError."""
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise SourceError(f"{folder} holds no {patterns[0]}; is it the data set's own folder?")

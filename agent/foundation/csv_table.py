"""Tables that people export: UTF-8 text with the names of the columns in the first line.

Everything that tells two patients' reports apart is checked strictly. With a quotation mark that is not
closed, several texts would be one text of the first patient; with a separator in a text without quotation
marks, the rest of the text would be lost, and it may contradict the beginning.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from agent.foundation.errors import UnusableFile

# A spreadsheet separates by what the language of its machine uses.
_SEPARATORS = (",", ";", "\t")
_LONGEST_FIELD = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row. number: the line in which it begins. values: by column; a column that it does not reach is
    missing. fault: why it cannot be used, with the remedy; empty if it can."""

    number: int
    values: Mapping[str, str]
    fault: str = ""


def read_table(
    path: Path, known: Collection[str], lacking: Callable[[Collection[str]], str], remedy: str
) -> Iterator[TableRow]:
    """Yield the rows of a table (with or without a byte order mark; separated by commas, semicolons or tabs).

    known: the columns that count, in lower case; a file names them in any case. lacking: returns what the
    first line must name in addition to the given columns, empty if nothing. remedy: ends the message about a
    file that is broken further down.

    Raises:
        UnusableFile: it cannot be read, its first line does not name the columns, or its quotation marks do
            not say where a text ends.
    """
    csv.field_size_limit(min(sys.maxsize, _LONGEST_FIELD))
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            lines = csv.reader(chain([first], file), delimiter=_separator(first), strict=True)
            names = _names(path, next(lines, []), known, lacking)
            number = lines.line_num
            for fields in lines:
                if fields:
                    yield _row(names, fields, number + 1)
                number = lines.line_num
    except UnicodeDecodeError:
        raise UnusableFile(f"{path} is not UTF-8: save it as `CSV UTF-8`; {remedy}") from None
    except csv.Error:
        raise UnusableFile(
            f"{path}: after line {number} a quotation mark is not closed, or not doubled in a text; {remedy}"
        ) from None
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {type(error).__name__}") from error


def _separator(first: str) -> str:
    """Return what separates the names in the first line."""
    return max(_SEPARATORS, key=first.count)


def _names(
    path: Path, fields: Sequence[str], known: Collection[str], lacking: Callable[[Collection[str]], str]
) -> list[str]:
    """Return the names of the columns, in lower case."""
    names = [name.strip().lower() for name in fields]
    if missing := lacking(names):
        raise UnusableFile(f"{path}: the first line must name {missing}")
    twice = sorted(name for name in known if names.count(name) > 1)
    if twice:
        raise UnusableFile(
            f"{path}: the first line names the column `{twice[0]}` twice; keep the one that counts"
        )
    return names


def _row(names: Sequence[str], fields: Sequence[str], number: int) -> TableRow:
    values = {name: field.strip() for name, field in zip(names, fields, strict=False)}
    # Spreadsheets write empty fields at the end; anything else there is the rest of a text.
    if any(field.strip() for field in fields[len(names) :]):
        fault = (
            "it has more fields than the first line: put a text that contains the separator in quotation "
            "marks"
        )
        return TableRow(number=number, values=values, fault=fault)
    return TableRow(number=number, values=values)

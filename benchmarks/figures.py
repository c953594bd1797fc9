"""Common output of the benchmarks: percentiles, and rows as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table


def percentile(values: Sequence[float], share: float, digits: int = 3) -> float:
    """Return the value that `share` of the values do not exceed, rounded to some digits."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], digits)


def table_of(title: str, rows: Sequence[Mapping[str, object]]) -> Table:
    """Return the rows, with one column for each name."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return table

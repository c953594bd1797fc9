"""Combines the rows of several seeds: the mean of each figure and its standard deviation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from model.evaluate.tables import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One row over seeds. seeds: how many had it.

    mean, deviation: by name, of each figure that all seeds have; the sample standard deviation (with n - 1),
    which a single seed does not have.
    """

    name: str
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float]


def over_seeds(tables: Sequence[Sequence[Measured]]) -> list[Spread]:
    """The rows of one table per seed, combined by name in the order in which they occur."""
    by_name: dict[str, list[dict[str, object]]] = {}
    for table in tables:
        for row in table:
            by_name.setdefault(row.name, []).append(asdict(row))
    return [_spread(name, rows) for name, rows in by_name.items()]


def _spread(name: str, rows: Sequence[dict[str, object]]) -> Spread:
    figures = {key: [value for row in rows if isinstance(value := row[key], float | int)] for key in rows[0]}
    whole = {key: values for key, values in figures.items() if len(values) == len(rows)}
    return Spread(
        name=name,
        seeds=len(rows),
        mean={key: statistics.fmean(values) for key, values in whole.items()},
        deviation={key: statistics.stdev(values) for key, values in whole.items() if len(values) > 1},
    )

"""A share with its confidence interval. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`hits` of `total`, with the limits of Wilson's 95 % score interval (0 to 1).

    Without any case there is no share: `value`, `low` and `high` are None.
    """

    hits: int
    total: int
    value: float | None
    low: float | None
    high: float | None


def rate(hits: int, total: int) -> Rate:
    """Return the share of hits in a total, with its interval (Wilson 1927, without continuity correction).

    Raises:
        ValueError: hits is not in 0..total.
    """
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is not a share")
    if total == 0:
        return Rate(hits=0, total=0, value=None, low=None, high=None)
    # Imported only when needed: it takes a second, which every process and command would otherwise spend.
    from scipy.stats import binomtest

    interval = binomtest(hits, total).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(
        hits=hits,
        total=total,
        value=hits / total,
        low=float(interval.low),
        high=float(interval.high),
    )

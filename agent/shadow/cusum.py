"""A cumulative sum chart for an event that does or does not happen in each study. Pure.

The chart adds up the log-likelihood ratio of a rate that has changed against the baseline's rate and starts
again at zero (Page 1954; Reynolds and Stoumbos 1999 for Bernoulli trials). If the true rate is the
baseline's, the probability that a chart passes the threshold h within n studies is at most n exp(-h), because
each of the n places where it can start is a likelihood ratio with mean 1 (Ville's inequality).

The baseline's rate is itself estimated. The chart therefore tests against the limit of its interval on the
side of the change: upward charts against the upper limit, downward charts against the lower one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from typing import Literal

Direction = Literal["up", "down"]

# The change that a chart is most sensitive to, as a ratio of odds.
ODDS_RATIO = 4.0
# One-sided confidence of the baseline's limit.
_LIMIT = 0.995
# Rates this close to 0 or 1 count as reached: a further change towards them cannot be detected.
_LEAST = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The chart of one event in one direction.

    weight_hit, weight_miss: the increment of a study with and without the event. threshold: h.
    """

    direction: Direction
    baseline: float
    changed: float
    weight_hit: float
    weight_miss: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Where a chart passed its threshold: the number of studies until then, and since it was last at 0."""

    after: int
    since: int
    rate: float


def threshold_for(*, studies: int, charts: int, false_alarm: float) -> float:
    """Return h so that, without any change, `charts` charts over `studies` studies each give a false alarm
    with a probability of at most `false_alarm` in all.

    Raises:
        ValueError: an argument is not positive, or false_alarm is not below 1.
    """
    if studies < 1 or charts < 1 or not 0 < false_alarm < 1:
        raise ValueError("a threshold needs studies, charts and a probability between 0 and 1")
    return log(studies * charts / false_alarm)


def chart_for(*, hits: int, total: int, direction: Direction, threshold: float) -> Chart | None:
    """Return the chart for an event that `hits` of the `total` studies of the baseline had.

    None if the baseline leaves no room for a change in this direction.
    """
    baseline = _limit(hits, total, direction)
    odds = baseline / (1 - baseline)
    odds = odds * ODDS_RATIO if direction == "up" else odds / ODDS_RATIO
    changed = odds / (1 + odds)
    if not _LEAST < changed < 1 - _LEAST:
        return None
    return Chart(
        direction=direction,
        baseline=baseline,
        changed=changed,
        weight_hit=log(changed / baseline),
        weight_miss=log((1 - changed) / (1 - baseline)),
        threshold=threshold,
    )


def _limit(hits: int, total: int, direction: Direction) -> float:
    """The limit of the baseline's rate (Clopper and Pearson 1934), kept off 0 and 1."""
    # Imported when it is needed: it takes a second, which every process and command would pay.
    from scipy.stats import beta

    if direction == "up":
        limit = 1.0 if hits == total else float(beta.ppf(_LIMIT, hits + 1, total - hits))
    else:
        limit = 0.0 if hits == 0 else float(beta.ppf(1 - _LIMIT, hits, total - hits + 1))
    return min(max(limit, _LEAST), 1 - _LEAST)


def first_alarm(chart: Chart, events: Iterable[bool]) -> Alarm | None:
    """Run a chart over events in the order of time; return its first alarm, None if there is none."""
    total, since, hits = 0.0, 0, 0
    for after, event in enumerate(events, start=1):
        total += chart.weight_hit if event else chart.weight_miss
        since, hits = since + 1, hits + event
        if total <= 0:
            total, since, hits = 0.0, 0, 0
        elif total >= chart.threshold:
            return Alarm(after=after, since=since, rate=hits / since)
    return None

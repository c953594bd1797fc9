"""STAT latencies in the phases with and without a backfill, from the recorded times. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import percentile

# The limit for the 99th percentile with the backfill, as a multiple of the one without.
ALLOWED = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A period in which the backfill ran, or did not (s of the machine's clock)."""

    backfill: bool
    begun: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StatStudy:
    """A STAT study: when its last image was acknowledged, its job queued, claimed and drafted (s)."""

    sent: float
    queued: float
    claimed: float
    drafted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """STAT studies of one kind of phase; times in s.

    p50, p99: from the acknowledgement of the last image to the draft. drafting_p99: the same without the
    quiet time, from the queued job to the draft. wait_p99: from the queued job to its claim.
    """

    backfill: bool
    studies: int
    p50: float
    p99: float
    drafting_p99: float
    wait_p99: float


def latency(studies: Sequence[StatStudy], phases: Sequence[Phase], *, backfill: bool) -> Latency:
    """Return the latencies of the studies that were sent in phases of one kind.

    Raises:
        ValueError: there is none.
    """
    mine = [one for one in studies if _phase_of(one.sent, phases) is backfill]
    if not mine:
        raise ValueError("no STAT study was sent in such a phase")
    return Latency(
        backfill=backfill,
        studies=len(mine),
        p50=percentile([one.drafted - one.sent for one in mine], 0.5),
        p99=percentile([one.drafted - one.sent for one in mine], 0.99),
        drafting_p99=percentile([one.drafted - one.queued for one in mine], 0.99),
        wait_p99=percentile([one.claimed - one.queued for one in mine], 0.99),
    )


def stat_studies(
    sent: Mapping[str, float], events: Iterable[tuple[str, str, float]]
) -> tuple[list[StatStudy], int]:
    """Return the STAT studies that were drafted, and how many were not.

    sent: when each study's last image was acknowledged, by UID. events: UID, state, and when it was reached.
    """
    reached: dict[str, dict[str, float]] = {}
    for uid, state, at in events:
        if uid in sent:
            reached.setdefault(uid, {})[state] = at
    made = [
        StatStudy(sent=sent[uid], queued=at["QUEUED"], claimed=at["GENERATING"], drafted=at["DRAFTED"])
        for uid, at in reached.items()
        if "DRAFTED" in at
    ]
    return made, len(sent) - len(made)


def most_in_a_minute(moments: Iterable[float]) -> int:
    """Return the largest number of moments (s) within any 60 s: the budget as seen by the archive."""
    ordered = sorted(moments)
    return max((bisect_left(ordered, one + 60.0) - n for n, one in enumerate(ordered)), default=0)


def _phase_of(moment: float, phases: Sequence[Phase]) -> bool | None:
    for one in phases:
        if one.begun <= moment <= one.ended:
            return one.backfill
    return None

"""What a load run must show: nothing lost, nothing drafted twice, each lane and site in order. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

# A job that became due in the moment before a claim may not have been visible to it.
VISIBLE_AFTER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """One job: its study, lane and site, and when it was queued, claimed and drafted (s of one clock)."""

    study: str
    lane: str
    site: str
    queued: float
    claimed: float
    drafted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """lost: sent and acknowledged, without a draft. twice: drafted more than once. overtaken: jobs that a
    later one of their lane and site was claimed before.
    """

    drafted: int
    lost: int
    twice: int
    overtaken: int

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return self.lost == self.twice == self.overtaken == 0


def settle(sent: Collection[str], jobs: Sequence[Drafted]) -> Account:
    """Compare what was acknowledged with what was drafted."""
    counts = Counter(one.study for one in jobs)
    return Account(
        drafted=len(counts),
        lost=len(set(sent) - set(counts)),
        twice=sum(count > 1 for count in counts.values()),
        overtaken=sum(_overtaken(line) for line in _lines(jobs)),
    )


def _lines(jobs: Iterable[Drafted]) -> Iterable[list[Drafted]]:
    lines: dict[tuple[str, str], list[Drafted]] = defaultdict(list)
    for one in jobs:
        lines[one.lane, one.site].append(one)
    return lines.values()


def _overtaken(line: list[Drafted]) -> int:
    """Jobs that were visibly waiting when one that was queued after them was claimed."""
    line.sort(key=lambda one: one.claimed)
    newest, count = float("-inf"), 0
    # From the last claim backwards: nothing claimed earlier may have been queued later than what follows it.
    overtakers: list[Drafted] = []
    for one in line:
        if one.queued < newest and any(
            other.queued > one.queued and other.claimed > one.queued + VISIBLE_AFTER_S
            and other.claimed < one.claimed
            for other in overtakers
        ):  # fmt: skip
            count += 1
        newest = max(newest, one.queued)
        overtakers.append(one)
    return count

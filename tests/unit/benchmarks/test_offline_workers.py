"""How the benchmark of two Ray workers evaluates its runs, and the pause that replaces the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.backfill_processes import role_of
from benchmarks.offline_workers import Round, ratio_of
from benchmarks.pausing_reporter import PausingReporter
from model.drafts.study import Study, StudyList


def a_round(workers: int, per_second: float) -> Round:
    return Round(workers=workers, studies=1, seconds=1.0, per_second=per_second)


def test_ratio_compares_each_run_of_two_with_the_one_beside_it() -> None:
    """A slow minute of the machine slows both runs of a pair; one outlier does not decide the ratio."""
    fast, slow, odd = (1.0, 1.9), (0.5, 0.95), (1.0, 9.0)
    rounds = [a_round(n, rate) for pair in (fast, slow, odd) for n, rate in zip((1, 2), pair, strict=True)]
    assert ratio_of(rounds) == 1.9


@dataclass(kw_only=True)
class Arrivals:
    """A source that returns one batch of studies after the other."""

    batches: list[list[Study[Any]]]

    def take(self, room: int, *, idle: bool) -> list[Study[Any]] | None:
        """Return the next batch."""
        return self.batches.pop(0) if self.batches else None


class Time:
    """A clock that advances only by sleeping."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


def test_pause_lets_urgent_studies_go_first_as_the_network_does() -> None:
    """With one slot an old study gives way to the urgent one and is drafted after it."""
    old = [Study(key=name, images=(), rank=3, yields=True) for name in ("old 1", "old 2")]
    urgent = Study(key="urgent", images=())
    time = Time()
    reporter: Any = PausingReporter(slots=1, draft_s=1.0, clock=lambda: time.now, sleep=time.sleep)
    source: Any = Arrivals(batches=[old, [urgent]])
    assert [key for key, _draft in reporter.draft_stream(source, ahead=2)] == ["urgent", "old 1", "old 2"]
    alone: Any = StudyList(old)
    assert [key for key, _draft in reporter.draft_stream(alone)] == ["old 1", "old 2"]


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -m agent listen --config /tmp/echo-agent-backfill-1/config.yaml", "listener"),
        ("python -m agent backfill run --follow --config /tmp/x/config.yaml", "backfill"),
        ("python /x/benchmarks/backfill_worker.py /tmp/echo-agent-backfill-1/config.yaml 1.0", "worker"),
        ("/usr/sbin/Orthanc /tmp/echo-agent-backfill-1/orthanc.json", "orthanc"),
        ("python benchmarks/backfill.py", "benchmark"),
    ],
)
def test_processes_are_told_apart_by_their_words(command: str, role: str) -> None:
    """Every command line contains the folder of the run, so the folder must not decide the role."""
    assert role_of(command.split()) == role

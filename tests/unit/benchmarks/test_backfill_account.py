"""The account of the backfill benchmark compares the right figures."""

from __future__ import annotations

import pytest

from benchmarks.backfill_account import Phase, StatStudy, latency, most_in_a_minute, stat_studies

PHASES = [Phase(backfill=True, begun=0, ended=10), Phase(backfill=False, begun=20, ended=30)]


def study(sent: float, seconds: float) -> StatStudy:
    """A STAT study that took the given seconds."""
    return StatStudy(sent=sent, queued=sent + 1, claimed=sent + 1.5, drafted=sent + seconds)


def test_latency_counts_the_studies_that_were_sent_in_its_phases() -> None:
    """A study sent between two phases counts in neither, even if it was slow."""
    studies = [study(1, 3), study(2, 5), study(15, 90), study(21, 2), study(29, 4)]
    beside, without = (latency(studies, PHASES, backfill=one) for one in (True, False))
    assert (beside.studies, beside.p99, beside.drafting_p99, beside.wait_p99) == (2, 5, 4, 0.5)
    assert (without.studies, without.p99) == (2, 4)


def test_latency_of_no_study_is_an_error() -> None:
    """A ratio of nothing is not 1."""
    with pytest.raises(ValueError, match="no STAT study"):
        latency([study(15, 1)], PHASES, backfill=True)


def test_stat_studies_counts_those_without_a_draft() -> None:
    """Only acknowledged studies count, with the last time at which each state was reached."""
    events = [
        ("1", "QUEUED", 2.0),
        ("1", "GENERATING", 3.0),
        ("1", "QUEUED", 4.0),
        ("1", "GENERATING", 5.0),
        ("1", "DRAFTED", 6.0),
        ("2", "QUEUED", 2.0),
        ("9", "DRAFTED", 2.0),
    ]
    made, lost = stat_studies({"1": 1.0, "2": 1.0, "3": 1.0}, events)
    assert made == [StatStudy(sent=1.0, queued=4.0, claimed=5.0, drafted=6.0)]
    assert lost == 2


def test_most_in_a_minute_is_over_any_minute() -> None:
    """The minute may begin at any second, not only at a full minute."""
    assert most_in_a_minute([0, 50, 59, 60, 100, 109, 200]) == 5
    assert most_in_a_minute([]) == 0

"""The order of claims, as a pure function."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.database.site_backlogs import SiteBacklog
from agent.database.states import Lane
from agent.queue.turns import next_lines, take_turns

START = datetime(2026, 11, 28, tzinfo=UTC)


def line(site: str, lane: Lane = Lane.ROUTINE, *, priority: int = 50, age_s: float = 0) -> SiteBacklog:
    """The due jobs of one site."""
    return SiteBacklog(lane=lane, site=site, priority=priority, since=START - timedelta(seconds=age_s))


def serve(sites: list[str], served: dict[str, float], weights: dict[str, float], count: int) -> list[str]:
    """Claim one job after the other, as that many claimers would, and keep the turns."""
    names = []
    for _ in range(count):
        (turn,) = take_turns([line(site) for site in sites], served, weights, 1)
        served[turn.site] = turn.start
        names.append(turn.site)
    return names


def test_next_lines_stat_never_waits_behind_another_lane() -> None:
    """The lane counts before site, age and a smaller priority in a later lane."""
    lines = [
        line("a", Lane.BACKFILL, priority=0, age_s=9e6),
        line("a", Lane.SHADOW, priority=0, age_s=9e5),
        line("a", age_s=9e4),
        line("b", Lane.STAT, priority=0),
    ]
    assert [one.lane for one in next_lines(lines)] == [Lane.STAT]
    assert [one.lane for one in next_lines(lines[:3])] == [Lane.ROUTINE]
    assert [one.lane for one in next_lines(lines[:2])] == [Lane.SHADOW]
    assert next_lines([]) == []


def test_next_lines_are_those_of_the_smallest_priority_in_the_lane() -> None:
    """Sites take turns only among jobs of the same priority."""
    lines = [line("a", priority=50), line("b", priority=10), line("c", priority=10)]
    assert [one.site for one in next_lines(lines)] == ["b", "c"]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({}, {"a": 40, "b": 40, "c": 40}),
        ({"a": 2.0}, {"a": 60, "b": 30, "c": 30}),
        ({"a": 4.0, "b": 0.5}, {"a": 87, "b": 11, "c": 22}),
    ],
)
def test_take_turns_gives_each_site_its_share(weights: dict[str, float], expected: dict[str, int]) -> None:
    """While all sites have jobs waiting, the claims are divided by weight, to within one turn."""
    counts = Counter(serve(["a", "b", "c"], {}, weights, 120))
    assert all(abs(counts[site] - number) <= 1 for site, number in expected.items())


def test_take_turns_at_once_is_as_one_after_the_other() -> None:
    """One claim of six jobs serves the same sites as six claims of one job."""
    lines = [line(site) for site in ("a", "b", "c")]
    weights = {"b": 3.0}
    together = [turn.site for turn in take_turns(lines, {"a": 4.0, "c": 2.5}, weights, 12)]
    assert together == serve(["a", "b", "c"], {"a": 4.0, "c": 2.5}, weights, 12)


def test_take_turns_idle_site_saves_up_nothing() -> None:
    """A site that returns after an idle day gets its share from then on, and no burst for the past."""
    served: dict[str, float] = {}
    serve(["a", "b"], served, {}, 10)
    serve(["a"], served, {}, 1000)
    assert abs(Counter(serve(["a", "b"], served, {}, 20))["b"] - 10) <= 1


def test_take_turns_of_equals_the_longest_waiting_is_first() -> None:
    """Among sites that have been served equally, age decides."""
    lines = [line("a", age_s=1), line("b", age_s=60), line("c", age_s=30)]
    assert [turn.site for turn in take_turns(lines, {}, {}, 3)] == ["b", "c", "a"]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 4)), min_size=1, max_size=40))
def test_take_turns_never_leaves_a_waiting_site_behind(rounds: list[tuple[str, int]]) -> None:
    """Whatever other sites do meanwhile, a site of weight 1 waits at most one turn of each of them."""
    served: dict[str, float] = {}
    waited = 0
    for other, count in rounds:
        lines = [line("small", age_s=0), *[line(site) for site in sorted({other, "z"})]]
        for turn in take_turns(lines, served, {}, count):
            served[turn.site] = turn.start
            waited = 0 if turn.site == "small" else waited + 1
            assert waited <= 6

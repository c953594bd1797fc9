"""The division of an archive by date."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.retrieve.backfill.slices import DateSlice, cut, halves, looks_cut_off, uncovered

DAYS = st.dates(date(1990, 1, 1), date(2030, 1, 1))


def minutes(one: DateSlice) -> set[tuple[date, int]]:
    """Return every minute that a query covers."""
    days = [one.since + timedelta(days=n) for n in range((one.until - one.since).days + 1)]
    return {(day, minute) for day in days for minute in range(one.first_minute, one.last_minute + 1)}


@given(DAYS, st.integers(0, 400), st.integers(1, 40))
def test_cut_covers_every_day_once(since: date, length: int, days: int) -> None:
    """No day is left out and none is queried twice."""
    until = since + timedelta(days=length)
    covered = [
        one.since + timedelta(days=n)
        for one in cut(since, until, ["CR"], days)
        for n in range((one.until - one.since).days + 1)
    ]
    assert sorted(covered) == [since + timedelta(days=n) for n in range(length + 1)]


def test_halves_cover_the_whole_down_to_one_minute() -> None:
    """Nine days are divided until each part is a minute; together the parts are the whole."""
    whole = DateSlice(since=date(2024, 2, 27), until=date(2024, 2, 29), modality="DX")
    parts, smallest = [whole], []
    while parts:
        one = parts.pop()
        two = halves(one)
        if two is None:
            smallest.append(one)
        else:
            assert minutes(two[0]) | minutes(two[1]) == minutes(one)
            assert minutes(two[0]) & minutes(two[1]) == set()
            parts.extend(two)
    assert len(smallest) == 3 * 24 * 60


def test_ranges_are_written_as_the_standard_says() -> None:
    """The query has DA and TM ranges, and no time for whole days."""
    day = date(2024, 2, 29)
    part = DateSlice(since=day, until=day, modality="CR", first_minute=600, last_minute=659)
    assert (part.study_date, part.study_time) == ("20240229-20240229", "100000-105959.999999")
    assert DateSlice(since=day, until=day, modality="CR").study_time == ""


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        *((few, False) for few in (0, 49, 63, 101, 499)),
        *((many, True) for many in (50, 64, 200, 500, 512, 737)),
    ],
)
def test_round_numbers_of_answers_may_be_a_limit(answers: int, expected: bool) -> None:
    """At the limit in the settings, and at the numbers at which an archive's own limit is likely."""
    assert looks_cut_off(answers, 500) is expected


@given(DAYS, st.integers(0, 60), st.lists(st.tuples(DAYS, st.integers(0, 30)), max_size=4))
def test_uncovered_days_are_those_in_no_range(
    since: date, length: int, ranges: list[tuple[date, int]]
) -> None:
    """Planning a range again adds only the days that were not planned."""
    until = since + timedelta(days=length)
    covered = [(first, first + timedelta(days=days)) for first, days in ranges]
    every = [since + timedelta(days=n) for n in range(length + 1)]
    wanted = [day for day in every if not any(first <= day <= last for first, last in covered)]
    parts = uncovered(since, until, covered)
    found = [first + timedelta(days=n) for first, last in parts for n in range((last - first).days + 1)]
    assert found == wanted

"""Divides an archive by Study Date, so that no answer reaches the archive's limit. Pure.

A range of days is halved until its answers are complete, and a day by Study Time, down to the minute. An
archive need not say that it has cut an answer off, so a number of answers that looks like a limit counts as
one: dividing a complete slice costs two queries and loses nothing.

DatedArchive: PS3.4 C.2.2.2.5 (range matching of DA and TM).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

# A number of answers that is a multiple of this, or a power of two from 64, looks like a limit.
_ROUND = 50
_LEAST_POWER = 64
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DateSlice:
    """One query: days (both included), minutes of the day (both included) of a divided day, modality."""

    since: date
    until: date
    modality: str
    first_minute: int = 0
    last_minute: int = _DAY_MINUTES - 1

    @property
    def study_date(self) -> str:
        """The DA range of the query."""
        return f"{self.since:%Y%m%d}-{self.until:%Y%m%d}"

    @property
    def study_time(self) -> str:
        """The TM range of the query, to the last fraction of its last minute; empty for whole days."""
        if self.whole_days:
            return ""
        return f"{_clock(self.first_minute)}00-{_clock(self.last_minute)}59.999999"

    @property
    def whole_days(self) -> bool:
        """Whether the query is not limited to a time of day."""
        return (self.first_minute, self.last_minute) == (0, _DAY_MINUTES - 1)


def cut(since: date, until: date, modalities: Iterable[str], days: int) -> list[DateSlice]:
    """Return the slices of a range of days (both included), the newest first, for each modality.

    Raises:
        ValueError: the range ends before it begins.
    """
    if until < since:
        raise ValueError("the range of days ends before it begins")
    slices: list[DateSlice] = []
    last = until
    while last >= since:
        first = max(since, last - timedelta(days=days - 1))
        slices.extend(DateSlice(since=first, until=last, modality=one) for one in modalities)
        last = first - timedelta(days=1)
    return slices


def halves(one: DateSlice) -> tuple[DateSlice, DateSlice] | None:
    """Return the two halves of a slice, the newer first; None for the smallest, one minute."""
    if one.since < one.until:
        middle = one.since + (one.until - one.since) // 2
        newer = DateSlice(since=middle + timedelta(days=1), until=one.until, modality=one.modality)
        return newer, DateSlice(since=one.since, until=middle, modality=one.modality)
    if one.first_minute == one.last_minute:
        return None
    middle_minute = (one.first_minute + one.last_minute) // 2
    return (
        _part(one, middle_minute + 1, one.last_minute),
        _part(one, one.first_minute, middle_minute),
    )


def looks_cut_off(answers: int, limit: int) -> bool:
    """Whether an answer with this many studies may have been cut off by the archive."""
    if answers >= limit:
        return True
    power_of_two = answers >= _LEAST_POWER and answers & (answers - 1) == 0
    return power_of_two or (answers >= _ROUND and answers % _ROUND == 0)


def uncovered(since: date, until: date, covered: Iterable[tuple[date, date]]) -> Sequence[tuple[date, date]]:
    """Return the parts of a range of days that no other range covers, the oldest first."""
    parts = []
    first = since
    for begins, ends in sorted(covered):
        if ends < first or begins > until:
            continue
        if begins > first:
            parts.append((first, begins - timedelta(days=1)))
        first = max(first, ends + timedelta(days=1))
    if first <= until:
        parts.append((first, until))
    return parts


def _part(one: DateSlice, first: int, last: int) -> DateSlice:
    return DateSlice(
        since=one.since, until=one.until, modality=one.modality, first_minute=first, last_minute=last
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}{minute % 60:02}"

"""The source of the present time, which tests can replace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the present time."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        return datetime.now(UTC)


def storable_time(moment: datetime) -> datetime | None:
    """Return an aware time unchanged; None if it has no counterpart in UTC, in which the database stores it.

    Software that knows no time writes the first moment of year 1 in its own time zone.
    """
    try:
        moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return moment

"""The hours in which the archive may be queried: in local time, across midnight, correct when clocks change.

Pure. What counts is the local time: in the hour that is repeated when summer time ends, the window may be
open twice; an hour that is skipped when it begins does not occur.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from agent.foundation.settings.backfill import WindowSettings

# Longer than any day on which the clocks change.
_LOOK_AHEAD = timedelta(hours=50)
_STEP = timedelta(minutes=1)


def is_open(window: WindowSettings | None, now: datetime) -> bool:
    """Whether the archive may be queried at a moment (aware)."""
    if window is None:
        return True
    wall = _local(window, now).time()
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    if opens <= closes:
        return opens <= wall < closes
    return wall >= opens or wall < closes


def next_change(window: WindowSettings | None, now: datetime) -> datetime | None:
    """Return the first full minute at which the window opens or closes; None if it never does."""
    if window is None:
        return None
    before = is_open(window, now)
    moment = now.replace(second=0, microsecond=0)
    for _ in range(_LOOK_AHEAD // _STEP):
        moment += _STEP
        if is_open(window, moment) is not before:
            return moment
    return None


def open_hours(window: WindowSettings | None, now: datetime) -> float:
    """Return for how many of the next 24 hours the window is open."""
    if window is None:
        return 24.0
    minutes = 24 * 60
    return sum(is_open(window, now + n * _STEP) for n in range(minutes)) / 60


def _local(window: WindowSettings, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(window.time_zone) if window.time_zone else None)

"""The hours in which the archive may be asked: local times, over midnight, right when clocks change.

Pure. What counts is what a clock on the wall shows: in the hour that a change to winter time repeats, the
window is open twice; what a change to summer time leaves out does not come.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from agent.foundation.settings.backfill import WindowSettings

# Longer than any day with a change of the clock.
_LOOK_AHEAD = timedelta(hours=50)
_STEP = timedelta(minutes=1)


def is_open(window: WindowSettings | None, now: datetime) -> bool:
    """Whether the archive may be asked at a moment (aware)."""
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
    """Return how many hours of the next 24 the window is open."""
    if window is None:
        return 24.0
    minutes = 24 * 60
    return sum(is_open(window, now + n * _STEP) for n in range(minutes)) / 60


def _local(window: WindowSettings, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(window.time_zone) if window.time_zone else None)

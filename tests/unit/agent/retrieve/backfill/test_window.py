"""The hours in which the archive may be queried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.foundation.settings.backfill import WindowSettings
from agent.retrieve.backfill.window import is_open, next_change, open_hours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = WindowSettings(opens="20:00", closes="06:00", time_zone="Europe/Berlin")
NOON = WindowSettings(opens="11:30", closes="13:00", time_zone="Europe/Berlin")
CLOCK = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))


@pytest.mark.parametrize(
    ("window", "wall", "expected"),
    [
        (NIGHT, "2026-06-01T19:59:59", False),
        (NIGHT, "2026-06-01T20:00:00", True),
        (NIGHT, "2026-06-02T00:00:00", True),
        (NIGHT, "2026-06-02T05:59:59", True),
        (NIGHT, "2026-06-02T06:00:00", False),
        (NOON, "2026-06-02T11:30:00", True),
        (NOON, "2026-06-02T13:00:00", False),
        # The hour that the change to winter time repeats, both occurrences.
        (NIGHT, "2026-10-25T02:30:00", True),
    ],
)
def test_window_is_open_by_the_clock_on_the_wall(window: WindowSettings, wall: str, expected: bool) -> None:
    """The window works at both ends, over midnight, and within a day."""
    for fold in (0, 1):
        moment = datetime.fromisoformat(wall).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)
        assert is_open(window, moment) is expected


def test_no_window_is_always_open() -> None:
    """Without a window it is always open, and never changes."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert (is_open(None, now), next_change(None, now), open_hours(None, now)) == (True, None, 24.0)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 9), ("2026-10-24", 11), ("2026-06-01", 10)])
def test_night_of_a_clock_change_is_an_hour_shorter_or_longer(day: str, hours: int) -> None:
    """From 20:00 to 06:00 local time: nine hours in March, eleven in October."""
    opens = datetime.fromisoformat(f"{day}T20:00").replace(tzinfo=BERLIN).astimezone(UTC)
    assert next_change(NIGHT, opens) == opens + timedelta(hours=hours)


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_window_that_begins_in_the_changed_hour_opens(day: str) -> None:
    """A window from 02:30 opens at 03:00 where 02:30 is skipped, and at the first 02:30 otherwise."""
    window = WindowSettings(opens="02:30", closes="05:00", time_zone="Europe/Berlin")
    evening = datetime.fromisoformat(f"{day}T20:00").replace(tzinfo=BERLIN).astimezone(UTC)
    change = next_change(window, evening)
    assert change is not None
    expected = "03:00" if day == "2026-03-28" else "02:30"
    assert f"{change.astimezone(BERLIN):%H:%M}" == expected


@given(CLOCK, CLOCK, st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)))
def test_next_change_is_the_first_one(opens: str, closes: str, naive: datetime) -> None:
    """Just before it nothing has changed; at it the window has the opposite state."""
    window = WindowSettings(opens=opens, closes=closes, time_zone="America/St_Johns")
    now = naive.replace(tzinfo=UTC)
    change = next_change(window, now)
    if change is None:
        assert opens == closes
        return
    assert is_open(window, change) is not is_open(window, now)
    assert is_open(window, change - timedelta(seconds=1)) is is_open(window, now)


@pytest.mark.parametrize(
    "values",
    [{"opens": "24:00"}, {"opens": "8:00"}, {"closes": "20.00"}, {"time_zone": "Europe/Atlantis"}],
)
def test_settings_refuse_what_is_no_time(values: dict[str, str]) -> None:
    """An unreadable window is an error of the settings, not a window that is always open."""
    with pytest.raises(ValidationError):
        WindowSettings(**values)

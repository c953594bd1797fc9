"""pynetdicom's timers do not read the wall clock."""

from __future__ import annotations

import time

import pytest
from pynetdicom import AE
from pynetdicom.association import Association

import agent.network.scu  # noqa: F401 - it installs the timers
from agent.network.timers import MonotonicTimer


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
def test_timer_expires_when_its_time_has_passed(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """A step of the wall clock neither prolongs nor ends the timer; monotonic time ends it."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    timer = MonotonicTimer(10)
    assert (timer.expired, timer.remaining) == (False, 10)
    timer.start()
    monkeypatch.setattr(time, "time", lambda: step_s)
    now = 109.0
    assert (timer.expired, timer.remaining) == (False, 1.0)
    now = 110.5
    assert timer.expired
    timer.restart()
    now = 115.5
    timer.stop()
    now = 200.0
    assert (timer.expired, timer.remaining) == (False, 5.0)


def test_timer_without_a_timeout_never_expires() -> None:
    """A timeout of None means never."""
    timer = MonotonicTimer(None)
    timer.start()
    assert (timer.expired, timer.remaining) == (False, 1)


def test_associations_that_we_open_have_these_timers() -> None:
    """Associations that the library opens have them too, not only the listener's."""
    association = Association(AE(), "requestor")
    assert isinstance(association.dul.artim_timer, MonotonicTimer)
    assert isinstance(association.dul._idle_timer, MonotonicTimer)

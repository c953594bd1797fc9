"""Ticks continue when the wall clock is set back."""

from __future__ import annotations

import datetime as real
import threading

import apscheduler.executors.base
import apscheduler.schedulers.base
import pytest

from agent.service import ticker
from agent.service.ticker import Ticker


class Stepped(real.datetime):
    """The system clock, shifted by some time."""

    away = real.timedelta()

    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> real.datetime:  # type: ignore[override]
        """Return the time of the stepped clock."""
        return real.datetime.now(tz) + cls.away


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_ticker_goes_on_after_a_step_of_the_clock(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Neither a step back nor a step forward stops the ticks."""
    stepped = type("Clock", (Stepped,), {})
    for module in (apscheduler.schedulers.base, apscheduler.executors.base, ticker):
        monkeypatch.setattr(module, "datetime", stepped)
    ticks = threading.Semaphore(0)
    running = Ticker(look_every_s=0.05)
    running.every(0.1, lambda: ticks.release())
    running.start()
    try:
        assert ticks.acquire(timeout=30)
        stepped.away = real.timedelta(hours=hours)  # type: ignore[attr-defined]
        while ticks.acquire(blocking=False):
            pass
        assert all(ticks.acquire(timeout=30) for _ in range(3))
    finally:
        running.stop()


def test_ticker_runs_what_is_seldom_at_once_and_only_then() -> None:
    """A long interval is not taken for a step of the clock."""
    runs = threading.Semaphore(0)
    seldom = threading.Semaphore(0)
    running = Ticker(look_every_s=0.02)
    running.every(3600, lambda: seldom.release())
    running.every(0.05, lambda: runs.release())
    running.start()
    try:
        assert all(runs.acquire(timeout=30) for _ in range(5))
    finally:
        running.stop()
    assert seldom.acquire(blocking=False)
    assert not seldom.acquire(blocking=False)

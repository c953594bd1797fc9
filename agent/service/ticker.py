"""A scheduler of regular ticks that is unaffected by steps of the wall clock.

APScheduler waits until a wall-clock time. After the clock was set back by an hour, every next run is an hour
away. A thread of its own, which waits on monotonic time, checks every second for a job whose next run is
further away than its interval, and brings it forward.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

_LOOK_EVERY_S = 1.0


class Ticker:
    """Runs functions at intervals, each in a thread of APScheduler's, never twice at a time."""

    def __init__(self, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._jobs: list[tuple[Job, timedelta]] = []
        self._look_every_s = look_every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="ticker", daemon=True)

    def every(self, seconds: float, run: Callable[[], None]) -> None:
        """Run a function at once and then every so many seconds; it must not raise."""
        job = self._scheduler.add_job(run, "interval", seconds=seconds, next_run_time=_now())
        self._jobs.append((job, timedelta(seconds=seconds)))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the running functions have finished."""
        self._stop.set()
        self._thread.join()
        self._scheduler.shutdown(wait=True)

    def _look(self) -> None:
        while not self._stop.wait(self._look_every_s):
            now = _now()
            for job, interval in self._jobs:
                try:
                    due = job.next_run_time
                    # A next run more than one interval away indicates a step of the clock.
                    if due is not None and due - now > interval + timedelta(seconds=self._look_every_s):
                        job.modify(next_run_time=now)
                except JobLookupError:
                    return  # the scheduler is being shut down


def _now() -> datetime:
    return datetime.now(UTC)

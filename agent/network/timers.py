"""pynetdicom's timers on monotonic time.

The library's own timers read the wall clock: if it is set back by an hour, ARTIM and idle timers wait an hour
longer, and a silent peer keeps its association that long. Source: PS3.8 section 9.1.5 (ARTIM timer).
"""

from __future__ import annotations

import time

from pynetdicom import dul
from pynetdicom.timer import Timer


class MonotonicTimer(Timer):
    """A timer that is unaffected by steps of the wall clock."""

    @property
    def remaining(self) -> float:
        """Return the seconds until the timer expires; negative afterwards, 1 if it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        ended = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (ended - self._start_time)

    def start(self) -> None:
        """Restart."""
        self._start_time, self._end_time = time.monotonic(), None

    def stop(self) -> None:
        """Stop; the remaining time is kept."""
        self._end_time = time.monotonic()


def use_monotonic_timers() -> None:
    """Make all new associations of this process use these timers."""
    dul.Timer = MonotonicTimer  # type: ignore[attr-defined]

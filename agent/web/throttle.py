"""A limit on failed sign-ins, in memory: a lock for a name at one address, and otherwise a delay.

The lock holds for a name and an address together: a hospital's readers often share one address, and wrong
passwords typed there must lock out neither them nor the same user elsewhere. An address or a name with many
failures is not locked; each further attempt there is delayed.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES_PER_PAIR = 5
# After this many failures at an address, or of a name over all addresses, each attempt is delayed.
FAILURES_BEFORE_BRAKE = 20
BRAKE_S = 1.0
SPAN_S = 900.0
_MOST_KEYS = 10_000


class Throttle:
    """Counts failed sign-ins, and returns how long a name must wait."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        # Monotonic: setting the clock back must not lengthen a lock.
        self._seconds = seconds
        self._failures: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, name: str, address: str) -> float:
        """Return how long (s) this name must wait at this address; 0 if it may be tried."""
        with self._lock:
            times = self._recent(("pair", name, address))
            if len(times) < FAILURES_PER_PAIR:
                return 0.0
            return SPAN_S - (self._seconds() - times[-FAILURES_PER_PAIR])

    def brake_s(self, name: str, address: str) -> float:
        """Return the delay (s) before an attempt is checked."""
        with self._lock:
            counts = [len(self._recent(key)) for key in (("name", name), ("address", address))]
            return BRAKE_S if max(counts) >= FAILURES_BEFORE_BRAKE else 0.0

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._seconds()
        with self._lock:
            for key in (("pair", name, address), ("name", name), ("address", address)):
                self._failures.setdefault(key, deque(maxlen=FAILURES_BEFORE_BRAKE)).append(now)
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of a name at an address; failures elsewhere still count."""
        with self._lock:
            self._failures.pop(("pair", name, address), None)

    def _recent(self, key: tuple[str, ...]) -> deque[float]:
        times = self._failures.get(key, deque())
        while times and self._seconds() - times[0] >= SPAN_S:
            times.popleft()
        return times

"""A limit on failed sign-ins: so many in a span of time, for a name and for an address. In memory."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from agent.foundation.clock import Clock

FAILURES_PER_NAME = 5
FAILURES_PER_ADDRESS = 20
SPAN_S = 900.0
_MOST_KEYS = 10_000


class Throttle:
    """Counts failures by key, and says how long a key has to wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, name: str, address: str) -> float:
        """Return how long (s) a sign-in has to wait; 0 when it may be tried."""
        with self._lock:
            return max(
                self._wait(f"name {name}", FAILURES_PER_NAME),
                self._wait(f"address {address}", FAILURES_PER_ADDRESS),
            )

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._clock.now().timestamp()
        with self._lock:
            for key in (f"name {name}", f"address {address}"):
                self._failures.setdefault(key, deque(maxlen=FAILURES_PER_ADDRESS)).append(now)
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name; its address keeps them."""
        with self._lock:
            self._failures.pop(f"name {name}", None)

    def _wait(self, key: str, most: int) -> float:
        now = self._clock.now().timestamp()
        times = self._failures.get(key)
        if times is None:
            return 0.0
        while times and now - times[0] >= SPAN_S:
            times.popleft()
        return 0.0 if len(times) < most else SPAN_S - (now - times[len(times) - most])

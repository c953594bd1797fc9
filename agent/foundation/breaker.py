"""A circuit breaker: after several consecutive failures a destination is not contacted for a while. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.foundation.failure import RetryPolicy

# A single lost connection is not an outage.
TOLERATED = 2
# Pauses (s) for queries that a draft may be waiting for.
QUERY_PAUSES = RetryPolicy(first_s=5.0, longest_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Consecutive failures to reach a destination, and the time (s) until which it is not contacted."""

    failures: int = 0
    open_until: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether the destination may be tried now; after a pause, a single attempt decides."""
        return now >= self.open_until

    def closed_until(self, time_s: float) -> Breaker:
        """Return the breaker of a destination that asks not to be contacted before a time (s)."""
        return replace(self, open_until=max(self.open_until, time_s))

    def failed(self, now: float, chance: float, policy: RetryPolicy) -> Breaker:
        """Return the breaker after another failure; `chance` is uniform in [0, 1).

        The pause is at least half of the backoff, whatever the jitter.
        """
        failures = self.failures + 1
        over = failures - TOLERATED
        pause = policy.long_wait_s(over, chance) if over > 0 else 0.0
        return Breaker(failures=failures, open_until=now + pause)

    def succeeded(self) -> Breaker:
        """Return the breaker after the destination has answered."""
        return Breaker()

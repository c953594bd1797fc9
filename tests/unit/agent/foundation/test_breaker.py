"""When a destination is left alone."""

from __future__ import annotations

from agent.foundation.breaker import TOLERATED, Breaker
from agent.foundation.failure import RetryPolicy


def after(failures: int, chance: float = 0.999) -> Breaker:
    """A breaker after failures at time 100."""
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.failed(100.0, chance, RetryPolicy(first_s=5.0, longest_s=900.0))
    return breaker


def test_breaker_tolerates_single_failures() -> None:
    """One lost connection is no outage."""
    assert after(TOLERATED).allows(100.0)


def test_breaker_pauses_then_allows_a_try() -> None:
    """After the pause one try decides."""
    breaker = after(TOLERATED + 1)
    assert not breaker.allows(102.0)
    assert breaker.allows(105.0)


def test_breaker_pause_grows_to_its_bound() -> None:
    """A day of outage never makes the pause longer than `longest_s`, nor shorter than half of it."""
    assert not after(500, 0.0).allows(100.0 + 449.0)
    assert after(500, 1.0).allows(100.0 + 900.0)


def test_breaker_forgets_after_success() -> None:
    """The destination is back."""
    assert after(9).succeeded() == Breaker()

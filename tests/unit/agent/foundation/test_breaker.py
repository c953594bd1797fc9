"""When no attempt is made at a destination."""

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
    """One lost connection does not open the breaker."""
    assert after(TOLERATED).allows(100.0)


def test_breaker_pauses_then_allows_a_try() -> None:
    """After the pause one attempt is allowed."""
    breaker = after(TOLERATED + 1)
    assert not breaker.allows(102.0)
    assert breaker.allows(105.0)


def test_breaker_pause_grows_to_its_bound() -> None:
    """Even after a long outage the pause is between half of `longest_s` and `longest_s`."""
    assert not after(500, 0.0).allows(100.0 + 449.0)
    assert after(500, 1.0).allows(100.0 + 900.0)


def test_breaker_forgets_after_success() -> None:
    """A success resets the breaker."""
    assert after(9).succeeded() == Breaker()

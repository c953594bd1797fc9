"""Backoff and failures."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from agent.database.states import JobState
from agent.foundation.errors import DeliveryFailed, UnreadableImage
from agent.foundation.failure import Failure, RetryPolicy, describe
from agent.queue.jobs import after_failure
from model.errors import OutOfMemoryError

POLICY = RetryPolicy(first_s=5, longest_s=900)


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(0, 5), (1, 5), (2, 10), (3, 20), (8, 640), (9, 900), (10, 900), (100000, 900)]
)
def test_backoff_ceiling_doubles_to_its_bound(attempt: int, ceiling: float) -> None:
    """The wait starts at 5 s and doubles to at most 15 min; no attempt number overflows."""
    assert POLICY.ceiling_s(attempt) == ceiling


def test_backoff_jitter_is_full() -> None:
    """The wait is uniformly distributed between zero and the ceiling."""
    chance = Random(3)
    waits = [POLICY.wait_s(4, chance.random()) for _ in range(2000)]
    assert min(waits) < 1.0
    assert 39.0 < max(waits) < 40.0
    assert 19.0 < sum(waits) / len(waits) < 21.0


def test_long_wait_is_at_least_half_of_the_ceiling() -> None:
    """Where a short wait is useless, only the upper half is random."""
    assert [POLICY.long_wait_s(4, chance) for chance in (0.0, 0.5, 1.0)] == [20.0, 30.0, 40.0]


def test_no_file_computes_a_backoff_of_its_own(repository: Path) -> None:
    """Only one file computes a power of two from an attempt's number."""
    own = re.compile(r"\b2(\.0)? \*\* .*(attempt|failure|tries|retr)")
    found = {
        str(path.relative_to(repository / "agent"))
        for path in (repository / "agent").rglob("*.py")
        if own.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"foundation/failure.py"}


def test_describe_keeps_our_own_words() -> None:
    """An exception of the agent says what happened and whether it is retryable."""
    assert describe(UnreadableImage("two frames")) == Failure(
        code="image-unreadable", reason="two frames", retryable=False
    )
    assert describe(DeliveryFailed("busy")).retryable
    assert describe(OutOfMemoryError("full")).code == "out_of_memory"


def test_describe_falls_back_to_the_docstring() -> None:
    """An exception without a text still tells the operator something."""
    assert "The destination did not take the object this time" in describe(DeliveryFailed()).reason


def test_describe_never_quotes_a_foreign_exception() -> None:
    """Libraries quote values, so that only the type's name is kept."""
    failure = describe(KeyError("CANARY^PATIENT"))
    assert (failure.code, failure.retryable) == ("unexpected", True)
    assert "KeyError" in failure.reason
    assert "CANARY" not in failure.reason


@pytest.mark.parametrize(
    ("retryable", "attempts", "state"),
    [
        (False, 1, JobState.FAILED),
        (True, 1, JobState.QUEUED),
        (True, 2, JobState.QUEUED),
        (True, 3, JobState.DEAD),
        (True, 4, JobState.DEAD),
    ],
)
def test_failure_leads_to_queue_failed_or_dead(retryable: bool, attempts: int, state: JobState) -> None:
    """The kind of failure and the number of attempts decide."""
    failure = Failure(code="x", reason="y", retryable=retryable)
    assert after_failure(failure, attempts, RetryPolicy(maximum_attempts=3)) is state

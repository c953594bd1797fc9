"""Batches built ahead of the network: in order, from any step, with the time spent waiting for them."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from model.train.loader import loading


def test_batches_come_in_order_from_the_step_that_resumes() -> None:
    """The order does not depend on which thread is faster; nothing is built beyond the last step."""
    built: list[int] = []

    def build(step: int) -> int:
        built.append(step)
        return step

    with loading(build, range(3, 9), 2, lambda: 0.0) as loader:
        got = [loader.next() for _ in range(6)]

    assert got == [3, 4, 5, 6, 7, 8]
    assert sorted(built) == got


def test_batches_are_built_while_the_network_works() -> None:
    """Others are being built before the first batch is requested."""
    started = threading.Semaphore(0)

    with loading(lambda step: started.release(), range(10), 2, lambda: 0.0) as loader:
        for _ in range(4):
            assert started.acquire(timeout=60)
        loader.next()


def test_a_batch_that_cannot_be_built_is_an_error_where_it_is_asked_for() -> None:
    """The error is the one raised in the thread."""

    def build(step: int) -> int:
        raise LookupError(f"step {step}")

    with loading(build, range(2), 1, lambda: 0.0) as loader, pytest.raises(LookupError, match="step 0"):
        loader.next()


def test_waiting_is_the_time_between_asking_and_having() -> None:
    """It is measured with the run's own clock."""
    ticks = count()

    with loading(lambda step: step, range(3), 1, lambda: float(next(ticks))) as loader:
        for _ in range(3):
            loader.next()

    assert loader.seconds_waited == 3.0

"""Prepares batches ahead of the network: threads decode the images of the next steps while a step runs.

The studies of a step are a function of the step, so the loader has no state to save: a resumed run requests
the step after the last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD = 2  # batches prepared or in preparation for each worker


class Loader(Generic[T]):
    """Returns the batches of consecutive steps and measures how long the network waits for them."""

    def __init__(
        self, build: Callable[[int], T], steps: range, pool: ThreadPoolExecutor, ahead: int,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._build, self._pool, self._clock = build, pool, clock
        self._ahead = ahead
        self._left = iter(steps)
        self._waiting: deque[Future[T]] = deque()
        self.seconds_waited = 0.0
        self._fill()

    def next(self) -> T:
        """The next step's batch; raises what its preparation raised."""
        started = self._clock()
        batch = self._waiting.popleft().result()
        self.seconds_waited += self._clock() - started
        self._fill()
        return batch

    def _fill(self) -> None:
        while len(self._waiting) < self._ahead:
            step = next(self._left, None)
            if step is None:
                return
            self._waiting.append(self._pool.submit(self._build, step))


@contextmanager
def loading(
    build: Callable[[int], T], steps: range, workers: int, clock: Callable[[], float]
) -> Iterator[Loader[T]]:
    """A loader of `steps` with this many threads; unstarted batches are dropped at the end."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    try:
        yield Loader(build, steps, pool, _AHEAD * workers, clock)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

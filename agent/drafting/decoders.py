"""The threads that prepare claimed jobs, the most urgent one first.

A job of a lane that yields (`Lane.yields`) never takes the last thread, so that an urgent job does not wait
until the images of an old study are decoded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from heapq import heappop, heappush

from agent.queue.jobs import Claim
from agent.reports.material import Material


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Waiting:
    lane_rank: int
    priority: int
    number: int
    claim: Claim = field(compare=False)
    future: Future[Material] = field(compare=False)


class Decoders:
    """Runs `prepare` for one job after the other in a few threads.

    threads: at least 1; with one alone, it takes every job.
    """

    def __init__(self, prepare: Callable[[Claim], Material], threads: int) -> None:
        self._prepare = prepare
        self._most_yielding = max(1, threads - 1)
        self._waiting: list[_Waiting] = []
        self._number = self._yielding = 0
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"pixels_{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, claim: Claim) -> Future[Material]:
        """Queue a job; the future has its material, or why there is none."""
        future: Future[Material] = Future()
        with self._changed:
            self._number += 1
            one = _Waiting(
                lane_rank=claim.lane.rank,
                priority=claim.priority,
                number=self._number,
                claim=claim,
                future=future,
            )
            heappush(self._waiting, one)
            self._changed.notify()
        return future

    def shutdown(self) -> None:
        """Cancel what waits, and return when the threads have ended."""
        with self._changed:
            self._closed = True
            dropped, self._waiting = self._waiting, []
            self._changed.notify_all()
        for one in dropped:
            one.future.cancel()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (one := self._next()) is not None:
            try:
                one.future.set_result(self._prepare(one.claim))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever takes the result
                one.future.set_exception(error)
            if one.claim.lane.yields:
                with self._changed:
                    self._yielding -= 1
                    self._changed.notify()

    def _next(self) -> _Waiting | None:
        """Wait for the most urgent job that may begin; None at the end."""
        with self._changed:
            while not self._closed:
                one = self._first()
                if one is not None:
                    self._yielding += one.claim.lane.yields
                    return one
                self._changed.wait()
        return None

    def _first(self) -> _Waiting | None:
        """Take the first job that waits, unless it yields and may not begin: those after it yield too."""
        if not self._waiting:
            return None
        if self._waiting[0].claim.lane.yields and self._yielding >= self._most_yielding:
            return None
        return heappop(self._waiting)

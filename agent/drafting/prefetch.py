"""The prefetcher: claims jobs and decodes their images while the network drafts other studies.

The network's stream takes its studies from here (`model.drafts.study.StudySource`). One thread claims jobs
and a few decode their pixels, so that the stream's own thread never waits for the database or for a file
while it has something to draft. A study and its job are one object, so an answer cannot reach another study's
job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Self

from agent.drafting.decoders import Decoders
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger
from agent.queue.jobs import Claim
from agent.reports.material import Material
from model.drafts.study import Study


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DraftCase:
    """A job with the material of its draft."""

    claim: Claim
    material: Material


def study_of(case: DraftCase) -> Study[DraftCase]:
    """Return the case in the form that the network's stream accepts."""
    return Study(
        key=case,
        images=case.material.images,
        context=case.material.context,
        rank=case.claim.lane.rank,
        yields=case.claim.lane.yields,
    )


class Prefetcher:
    """Claims as many jobs as there is room for, and hands each out once its pixels are decoded.

    claim: takes at most so many jobs, and at most so many of them from lanes that yield (`Lane.yields`).
    prepare: a job to its material. refuse: called with a job whose material cannot be prepared. reserve:
    places that jobs that yield leave free. poll_s: longest wait (s) before the queue is polled again.
    decoders: threads. rounds: total number of claims; unlimited, until `stop`, if omitted.
    """

    def __init__(
        self,
        claim: Callable[[int, int], Sequence[Claim]],
        prepare: Callable[[Claim], Material],
        refuse: Callable[[Claim, Exception], None],
        *,
        stop: threading.Event,
        poll_s: float,
        decoders: int,
        reserve: int = 0,
        rounds: int | None = None,
    ) -> None:
        self._claim, self._refuse, self._reserve = claim, refuse, reserve
        self._stop, self._poll_s, self._rounds = stop, poll_s, rounds
        self._claims_thread = ThreadPoolExecutor(1, thread_name_prefix="claims")
        self._decoders = Decoders(prepare, decoders)
        self._looking: Future[Sequence[Claim]] | None = None
        # Places that the last poll had, and those of them for jobs that yield.
        self._asked = self._asked_spare = 0
        self._look_at = 0.0
        # More jobs that yield may be due than the last poll had places for.
        self._more_to_spare = False
        self._preparing: list[tuple[Claim, Future[Material]]] = []
        self._given_out: dict[str, DraftCase] = {}
        self._news = threading.Event()
        self._log = get_logger("worker")
        # Jobs claimed so far.
        self.claimed = 0
        # An unexpected error, which ends the stream.
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        """Watch for `stop`, which also ends a wait for studies."""
        threading.Thread(target=self._watch, name="stop", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the threads after the running poll; nothing is claimed or prepared after this."""
        self._claims_thread.shutdown()
        self._decoders.shutdown()

    def take(self, room: int, *, idle: bool) -> Sequence[Study[DraftCase]] | None:
        """Return at most `room` prepared studies, the most urgent first; None when no more will come."""
        while True:
            self._news.clear()
            self._file()
            if self._over():
                return None
            self._look(room - len(self._preparing))
            ready = self._ready(room)
            if ready or not idle:
                return ready
            pending = self._looking is not None or self._preparing
            self._news.wait(None if pending else max(0.0, self._look_at - monotonic()))

    def wake(self) -> None:
        """Poll the queue now, because there may be a new job. From any thread."""
        self._look_at = 0.0
        self._news.set()

    def fail(self, error: BaseException) -> None:
        """End the stream with this error. From any thread."""
        self.error = error
        self._news.set()

    def done(self, case: DraftCase) -> None:
        """Record that this case has been answered."""
        del self._given_out[case.claim.token]

    def given_out(self) -> list[DraftCase]:
        """Return the cases that have no answer yet."""
        return list(self._given_out.values())

    def left_over(self) -> list[Claim]:
        """Return the claimed jobs without an answer; call it after the stream has ended."""
        claims = [case.claim for case in self._given_out.values()]
        claims.extend(claim for claim, _future in self._preparing)
        if self._looking is not None and self._looking.exception() is None:
            claims.extend(self._looking.result())
        self._looking = None
        self._given_out.clear()
        self._preparing.clear()
        return claims

    def _watch(self) -> None:
        self._stop.wait()
        self._news.set()

    def _over(self) -> bool:
        if self._stop.is_set() or self.error is not None:
            return True
        return self._rounds == 0 and self._looking is None and not self._preparing

    def _look(self, room: int) -> None:
        """Start a poll of the queue, unless one is running or it is too early.

        room: free places, with the reserve. Jobs that do not yield use at most as many places as there are
        without the reserve.
        """
        held = [
            *(case.claim for case in self._given_out.values()),
            *(one for one, _future in self._preparing),
        ]
        yielding = sum(one.lane.yields for one in held)
        spare = max(0, room - self._reserve)
        room = min(room, room - self._reserve + yielding)
        if room < 1 or self._looking is not None or self._rounds == 0:
            return
        if monotonic() < self._look_at and not (spare and self._more_to_spare):
            return
        if self._rounds is not None:
            self._rounds -= 1
        # Until this poll has answered; `wake` in the meantime brings the next poll forward.
        self._asked, self._asked_spare = room, spare
        self._look_at = monotonic() + self._poll_s
        self._looking = self._claims_thread.submit(self._claim, room, spare)
        self._looking.add_done_callback(self._tell)

    def _file(self) -> None:
        """Accept the claimed jobs."""
        if self._looking is None or not self._looking.done():
            return
        looked, self._looking = self._looking, None
        error = looked.exception()
        if error is None:
            claims = looked.result()
            self._enter(claims)
            if len(claims) == self._asked:
                self._look_at = 0.0
            self._more_to_spare = sum(one.lane.yields for one in claims) == self._asked_spare
        elif isinstance(error, DatabaseUnavailable) and error.retryable and self._rounds is None:
            self._log.warning("database_unavailable", code=error.code)
        else:
            # Not raised in the stream: a failing queue is not the network's fault.
            self.fail(error)

    def _enter(self, claims: Sequence[Claim]) -> None:
        self.claimed += len(claims)
        for claim in claims:
            future = self._decoders.submit(claim)
            self._preparing.append((claim, future))
            future.add_done_callback(self._tell)
        self._preparing.sort(key=lambda one: (one[0].lane.rank, one[0].priority))

    def _ready(self, room: int) -> list[Study[DraftCase]]:
        ready: list[Study[DraftCase]] = []
        for claim, future in [one for one in self._preparing if one[1].done()]:
            if len(ready) == room:
                break
            self._preparing.remove((claim, future))
            error = future.exception()
            if error is None:
                case = DraftCase(claim=claim, material=future.result())
                self._given_out[claim.token] = case
                ready.append(study_of(case))
            elif isinstance(error, Exception):
                self._refuse(claim, error)
            else:
                raise error
        return ready

    def _tell(self, _future: object) -> None:
        self._news.set()

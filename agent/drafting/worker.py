"""The drafting loop: jobs stream into the network, and each draft is written as soon as it is done.

The network never waits: the next jobs are claimed and their pixels decoded meanwhile
(`agent.drafting.prefetch`), and another thread writes finished drafts (`agent.drafting.write_results`).
Nothing of a job is written before its end, so that a worker may be killed at any moment: its lease expires,
and the next worker starts again from the same images.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from random import Random
from time import monotonic
from typing import Protocol

from agent.database.session import Database
from agent.database.wakeup import JOBS, Waker
from agent.drafting.prefetch import DraftCase, Prefetcher, study_of
from agent.drafting.write_results import Results
from agent.foundation.errors import NetworkFailed
from agent.foundation.failpoints import failpoint
from agent.foundation.failure import describe
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.queue import jobs
from agent.queue.jobs import Claim
from agent.queue.lease_keeper import LeaseKeeper
from agent.reports.compose import algorithm_of
from agent.reports.material import Material, gather
from agent.reports.notice import Notices
from model.drafts.draft import DraftText, ModelIdentity
from model.drafts.study import StudyList, StudySource

NOTICES_EVERY_S = 5.0
# Longest delay (s) of notices while the queue never empties.
NOTICES_AFTER_S = 60.0
# Decoding a film costs about 0.2 s of one core; more threads than this would starve the network.
MAXIMUM_DECODERS = 8
# After this many consecutive failures of the network with different studies, the device is at fault.
FAILURES_IN_A_ROW = 3


class Reporter(Protocol):
    """The network's interface (`model.reporting.reporter.Reporter`)."""

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the network."""

    def draft_stream(
        self, source: StudySource[DraftCase], *, ahead: int | None = None
    ) -> Iterable[tuple[DraftCase, DraftText | Exception]]:
        """Draft the studies of the source; yield each study's draft, or its error, as soon as it is
        available.
        """


class DraftingWorker:
    """Takes jobs from the queue and puts drafts into the outbox."""

    def __init__(
        self,
        database: Database,
        store: InstanceStore,
        settings: Settings,
        reporter: Reporter,
        *,
        owner: str | None = None,
        chance: Random | None = None,
    ) -> None:
        self._database, self._store, self._settings, self._reporter = database, store, settings, reporter
        self._owner = owner or f"worker@{socket.gethostname()}:{os.getpid()}"
        self._chance = chance or Random()
        worker = settings.worker
        self._policy = worker.retry
        self._keeper: LeaseKeeper[Claim] = LeaseKeeper(
            partial(jobs.heartbeat, database, lease_s=worker.lease_s), worker.lease_s
        )
        self._algorithm = algorithm_of(reporter.identity)
        self._notices = Notices(database, store, settings, self._algorithm)
        self._notices_at = 0.0
        # Jobs beyond those in decoding, so that the next one is ready when a report is done.
        self._ahead = max(1, worker.slots // 2)
        # Places that jobs nobody waits for leave free, so that an urgent one is claimed while those fill up
        # the others; the network decodes it at once (`model.decode.engine`).
        self._reserve = self._ahead
        self._failures = 0
        self._prefetcher: Prefetcher | None = None
        self._log = get_logger("worker")

    def run(self, stop: threading.Event) -> None:
        """Draft until `stop` is set; then finish the studies in the network, and return the others to the
        queue.

        Raises:
            NetworkFailed: the network fails on every study; a new process may succeed.
        """
        with Waker(self._database, JOBS, self._wake):
            self._work(stop, impatient=stop)

    def run_once(self) -> int:
        """Claim once, draft the claimed jobs, and return their number.

        Raises:
            DatabaseUnavailable: nothing could be claimed.
            NetworkFailed: the network fails on every study.
        """
        stop, impatient = threading.Event(), threading.Event()
        impatient.set()
        try:
            taken = self._work(stop, impatient=impatient, rounds=1)
        finally:
            stop.set()
        self._notices_at = 0.0
        self._write_notices()
        return taken

    def _wake(self) -> None:
        """Poll the queue now. From any thread."""
        prefetcher = self._prefetcher
        if prefetcher is not None:
            prefetcher.wake()

    def _work(self, stop: threading.Event, *, impatient: threading.Event, rounds: int | None = None) -> int:
        worker = self._settings.worker
        results = Results(
            self._database,
            self._settings,
            self._algorithm,
            self._keeper,
            self._policy,
            owner=self._owner,
            chance=self._chance,
            impatient=impatient,
        )
        most = worker.slots if rounds is not None else worker.slots + self._ahead
        reserve = 0 if rounds is not None else self._reserve
        prefetcher = Prefetcher(
            lambda room, yielding: self._look(min(room, most), yielding),
            lambda claim: results.patiently(partial(self._gather, claim)),
            lambda claim, error: writer.write(results.refuse, claim, error),
            stop=stop,
            poll_s=worker.poll_s,
            reserve=reserve,
            decoders=min(most, MAXIMUM_DECODERS, os.cpu_count() or 1),
            rounds=rounds,
        )
        writer = DraftWriter(2 * worker.slots, prefetcher.fail)
        with self._keeper, writer:
            self._prefetcher = prefetcher
            try:
                with prefetcher:
                    self._draft_all(prefetcher, results, writer)
            finally:
                self._prefetcher = None
                results.release(prefetcher.left_over())
        if prefetcher.error is not None:
            raise prefetcher.error
        return prefetcher.claimed

    def _draft_all(self, prefetcher: Prefetcher, results: Results, writer: DraftWriter) -> None:
        """Run the stream until the prefetcher has no more studies; restart it where it breaks."""
        while True:
            try:
                for case, answer in self._reporter.draft_stream(
                    prefetcher, ahead=self._ahead + self._reserve
                ):
                    self._failures = 0
                    prefetcher.done(case)
                    writer.write(results.settle, case, answer)
                return
            except Exception as error:  # noqa: BLE001 - outermost for the network, which raises what CUDA does
                in_hand = prefetcher.given_out()
                self._log.error("model_failed", code=describe(error).code, count=len(in_hand))
                if not in_hand:
                    self._count_failure(error)
            # Drafting each study alone shows which one is at fault.
            for case in in_hand:
                answer = self._alone(case)
                prefetcher.done(case)
                writer.write(results.settle, case, answer)

    def _alone(self, case: DraftCase) -> DraftText | Exception:
        try:
            ((_case, answer),) = self._reporter.draft_stream(StudyList([study_of(case)]))
        except Exception as error:  # noqa: BLE001 - outermost for the network, as above
            self._count_failure(error)
            return error
        self._failures = 0
        return answer

    def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise NetworkFailed(
                "the network fails on every study: this worker stops, and its jobs return to the queue; "
                "check the device"
            ) from error

    def _gather(self, claim: Claim) -> Material:
        return gather(self._database, self._store, self._settings, claim)

    def _look(self, room: int, yielding: int) -> list[Claim]:
        """Claim as many jobs as there is room for, urgent ones first; if there are none, write notices.

        yielding: the room for jobs of lanes that yield.
        """
        if monotonic() >= self._notices_at + NOTICES_AFTER_S:
            self._write_notices()
        worker = self._settings.worker
        claims = jobs.claim(
            self._database,
            self._owner,
            worker.lease_s,
            room,
            policy=self._policy,
            chance=self._chance,
            weights=self._settings.site_weights,
            most_yielding=yielding,
        )
        self._keeper.keep(claims)
        if claims:
            failpoint("worker.after-claim")
        else:
            self._write_notices()
        return claims

    def _write_notices(self) -> None:
        if monotonic() < self._notices_at:
            return
        self._notices_at = monotonic() + NOTICES_EVERY_S
        self._notices.write_due()


class DraftWriter:
    """A writer thread with a bounded queue: a caller that is `most` writes ahead blocks, so that drafts do
    not accumulate in memory. failed: called with an unexpected error that was not handled at the end of a
    claim.
    """

    def __init__(self, most: int, failed: Callable[[BaseException], None]) -> None:
        self._room = threading.BoundedSemaphore(most)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._failed = failed

    def __enter__(self) -> DraftWriter:
        """Do nothing yet: the thread starts with the first write."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Wait until everything is written."""
        self._thread.shutdown()

    def write(self, act: Callable[..., None], *arguments: object) -> None:
        """Queue a write after the earlier ones."""
        self._room.acquire()
        self._thread.submit(act, *arguments).add_done_callback(self._written)

    def _written(self, done: Future[None]) -> None:
        self._room.release()
        error = done.exception()
        if error is not None:
            self._failed(error)

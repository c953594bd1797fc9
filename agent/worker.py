"""The loop that drafts: claim, pixels, network, documents, and one transaction at the end.

While the network drafts one batch, the next one is claimed and its pixels are decoded, and the one before
is written. Nothing of a job is written before its end, so that a worker may be killed at any moment: its
lease runs out, and the next worker begins from the same images.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from random import Random
from time import monotonic
from typing import Any, Protocol

from agent import outbox
from agent.composition import Draft, Identity, algorithm_of, draft_record
from agent.db.session import Database, database_now
from agent.errors import DatabaseUnavailable, LeaseLost
from agent.failpoints import failpoint
from agent.leases import LeaseKeeper
from agent.log import get_logger, study_ref
from agent.materials import Material, gather
from agent.notices import Notices
from agent.pixels import StudyImage
from agent.queue import deliveries, jobs
from agent.queue.jobs import Claim
from agent.queue.retry import Failure, RetryPolicy, describe
from agent.queue.states import JobState
from agent.settings import Settings
from agent.store import InstanceStore

Batch = list[tuple[Claim, Material]]
NOTICES_EVERY_S = 5.0
# Decoding a film costs about 0.2 s of one core; more threads than this would starve the network.
MAXIMUM_DECODERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known besides the pixels; empty means unknown."""

    indication: str = ""
    comparison: str = ""


class Reporter(Protocol):
    """The network's door (`model.reporter.Reporter`)."""

    @property
    def identity(self) -> Identity:
        """Which network this is."""

    def draft_many(self, studies: Sequence[tuple[Sequence[StudyImage], Context]]) -> Sequence[Draft]:
        """Draft several studies together; one draft a study, in order."""


class Worker:
    """Takes jobs off the queue and puts drafts into the outbox."""

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
        self._database = database
        self._store = store
        self._settings = settings
        self._reporter = reporter
        self._algorithm = algorithm_of(reporter.identity)
        self._owner = owner or f"worker@{socket.gethostname()}:{os.getpid()}"
        self._chance = chance or Random()
        self._policy = RetryPolicy(maximum_attempts=settings.worker.maximum_attempts)
        self._keeper: LeaseKeeper[Claim] = LeaseKeeper(
            partial(jobs.heartbeat, database, lease_s=settings.worker.lease_s), settings.worker.lease_s
        )
        self._notices = Notices(database, store, settings, self._algorithm)
        self._notices_at = 0.0
        self._log = get_logger("worker")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then finish the batch in hand and give back what was taken ahead."""
        with self._keeper, ThreadPoolExecutor(1, "ahead") as ahead, ThreadPoolExecutor(1, "writer") as writer:
            following: Future[Batch] | None = None
            writing: Future[None] | None = None
            while not stop.is_set():
                try:
                    batch = self._take() if following is None else following.result()
                    following = None
                    if batch:
                        following = ahead.submit(self._take)
                        answers = self._ask([material for _claim, material in batch])
                        _await(writing)
                        writing = writer.submit(self._finish_all, batch, answers)
                        continue
                    _await(writing)
                    writing = None
                    self._write_notices()
                    stop.wait(self._settings.worker.poll_s)
                except DatabaseUnavailable as error:
                    # Without the database nothing can be given back: the leases run out instead.
                    self._log.warning("database_unavailable", code=error.code)
                    pending: list[Future[Any]] = [one for one in (following, writing) if one is not None]
                    wait(pending)
                    following = writing = None
                    self._keeper.clear()
                    stop.wait(self._settings.worker.poll_s)
            self._end(following, writing)

    def run_once(self) -> int:
        """Draft one batch; return how many jobs were taken.

        Raises:
            DatabaseUnavailable: the leases run out by themselves, and the jobs are taken again.
        """
        with self._keeper:
            claims = self._claim()
            batch = self._gather_all(claims)
            if batch:
                self._finish_all(batch, self._ask([material for _claim, material in batch]))
        self._notices_at = 0.0
        self._write_notices()
        return len(claims)

    def _take(self) -> Batch:
        return self._gather_all(self._claim())

    def _claim(self) -> list[Claim]:
        worker = self._settings.worker
        claims = jobs.claim(
            self._database,
            self._owner,
            worker.lease_s,
            worker.slots,
            policy=self._policy,
            chance=self._chance,
        )
        self._keeper.keep(claims)
        if claims:
            failpoint("worker.after-claim")
        return claims

    def _gather_all(self, claims: Sequence[Claim]) -> Batch:
        if not claims:
            return []
        threads = min(len(claims), MAXIMUM_DECODERS, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads, thread_name_prefix="pixels") as pool:
            gathered = list(pool.map(self._gather, claims))
        ready = []
        for claim, material in zip(claims, gathered, strict=True):
            if isinstance(material, Failure):
                self._fail(claim, material)
            else:
                ready.append((claim, material))
        return ready

    def _gather(self, claim: Claim) -> Material | Failure:
        try:
            return gather(self._database, self._store, self._settings.eligibility, claim)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - outermost for one study: it must not stop the others
            return self._described(claim, error)

    def _finish_all(self, batch: Batch, answers: Sequence[Draft | Failure]) -> None:
        for (claim, material), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Failure):
                self._fail(claim, answer)
            else:
                self._finish(claim, material, answer)

    def _ask(self, materials: Sequence[Material]) -> Sequence[Draft | Failure]:
        """Ask the network; when it cannot do all of them, ask for each alone, to find the one at fault."""
        studies = [(material.images, Context(indication=material.indication)) for material in materials]
        try:
            return self._reporter.draft_many(studies)
        except Exception as error:  # noqa: BLE001 - outermost for the network, which raises whatever CUDA does
            failure = describe(error)
        self._log.error("model_failed", code=failure.code, count=len(materials))
        if len(materials) == 1:
            return [failure]
        return [answer for material in materials for answer in self._ask([material])]

    def _finish(self, claim: Claim, material: Material, draft: Draft) -> None:
        try:
            self._write(claim, material, draft)
        except LeaseLost as error:
            self._log.warning("result_discarded", job_id=claim.job_id, code=error.code)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - outermost for one study: it must not stop the others
            self._fail(claim, self._described(claim, error))
        else:
            self._log.info(
                "drafted",
                job_id=claim.job_id,
                study_ref=study_ref(claim.study_instance_uid),
                revision=claim.revision,
                forwards=draft.forwards,
                tokens=draft.tokens,
                seconds=round(draft.seconds, 3),
            )
        finally:
            self._keeper.drop([claim])

    def _write(self, claim: Claim, material: Material, draft: Draft) -> None:
        with self._database.reading() as session:
            created = database_now(session).astimezone()
            before = {
                variant: outbox.predecessors(session, claim.study_id, claim.study_instance_uid, variant)
                for variant in outbox.variants(self._settings.destinations)
            }
        record = draft_record(
            draft,
            material,
            self._algorithm,
            self._settings.urgency,
            revision=claim.revision,
            created=created,
            predecessors=before,
        )
        failpoint("worker.before-write")
        with self._database.transaction() as session:
            now = database_now(session)
            job = jobs.finish(session, claim, JobState.DRAFTED, now=now, actor=self._owner)
            outbox.write(session, job, record, self._algorithm, self._settings, now=now)
            deliveries.settle(session, job, now, self._owner)
        failpoint("worker.after-write")

    def _fail(self, claim: Claim, failure: Failure) -> None:
        try:
            state = jobs.fail(
                self._database, claim, failure, self._policy, chance=self._chance, actor=self._owner
            )
        except LeaseLost as error:
            self._log.warning("result_discarded", job_id=claim.job_id, code=error.code)
        else:
            self._log.warning(
                "not_drafted",
                job_id=claim.job_id,
                study_ref=study_ref(claim.study_instance_uid),
                state=state.value,
                code=failure.code,
                attempts=claim.attempts,
            )
        finally:
            self._keeper.drop([claim])

    def _described(self, claim: Claim, error: Exception) -> Failure:
        failure = describe(error)
        if failure.code == "unexpected":
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = "" if place is None else f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
            self._log.error("unexpected", job_id=claim.job_id, error_type=type(error).__name__, where=where)
        return failure

    def _end(self, taken: Future[Batch] | None, writing: Future[None] | None) -> None:
        try:
            _await(writing)
            if taken is not None:
                claims = [claim for claim, _material in taken.result()]
                self._keeper.drop(claims)
                jobs.release(self._database, claims, actor=self._owner)
        except DatabaseUnavailable as error:
            self._log.warning("database_unavailable", code=error.code)

    def _write_notices(self) -> None:
        if monotonic() < self._notices_at:
            return
        self._notices_at = monotonic() + NOTICES_EVERY_S
        self._notices.write_due()


def _await(writing: Future[None] | None) -> None:
    """Wait until a batch is written; its error is raised here."""
    if writing is not None:
        writing.result()

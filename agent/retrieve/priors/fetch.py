"""Retrieves a queued study's earlier studies from the archive while the job waits, within a time budget.

The `run_after` of a job that was queued with a search is the search's deadline, so a draft never depends on
the search: if this process is down or the archive does not answer, the deadline passes and the study is
drafted without earlier studies. A search that ends in time sets `run_after` to now. A DICOM archive sends to
a second AE title of the listener, where everything received is treated as an earlier study
(`agent.receive.intake`); what a DICOMweb archive returns is passed to the same intake.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.identity.patient import patient_of_row
from agent.database.priors import FOUND, LATE, NOT_ASKED, PATIENT_MISMATCH
from agent.database.remarks import remark
from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Instance, Job, PriorLink, PriorSearch, Study
from agent.database.wakeup import JOBS, notify
from agent.foundation.breaker import QUERY_PAUSES, Breaker
from agent.foundation.errors import AgentError, ArchiveUnavailable
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.network.incoming import Incoming
from agent.objects.header import read_stored
from agent.objects.rejection_note import NOTE_CLASS
from agent.objects.store import InstanceStore
from agent.retrieve.priors.search import PriorSearcher, SearchResult, SearchTask

ACTOR = "priors"
POLL_S = 0.25
SEARCHES_AT_ONCE = 4
# An owner has this long (s) after the deadline to write its outcome.
GRACE_S = 5.0


class PriorFetcher:
    """Claims searches and runs a few of them concurrently."""

    def __init__(
        self,
        database: Database,
        store: InstanceStore,
        settings: Settings,
        incoming: Incoming,
        *,
        owner: str = ACTOR,
        chance: Random | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._owner = owner
        self._chance = chance or Random()
        self._searcher = (
            None
            if settings.archive is None
            else PriorSearcher(database, store, settings.archive, settings.priors, incoming)
        )
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self._running = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=ACTOR, daemon=True)
        self._pool = ThreadPoolExecutor(SEARCHES_AT_ONCE, ACTOR)
        self._log = get_logger(ACTOR)

    def start(self) -> None:
        """Start, unless earlier studies are disabled in the settings."""
        if self._settings.priors.enabled:
            self._thread.start()

    def stop(self) -> None:
        """Claim no further searches, and wait for the running ones, which are limited by their time
        budget.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run_once(self) -> int:
        """Run the searches that are open now, one after the other; return their number."""
        tasks = self._take(SEARCHES_AT_ONCE)
        for task in tasks:
            self._search(task)
        self._close_late()
        return len(tasks)

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                with self._lock:
                    room = SEARCHES_AT_ONCE - self._running
                for task in self._take(room) if room else ():
                    with self._lock:
                        self._running += 1
                    self._pool.submit(self._in_thread, task)
                self._close_late()
            except AgentError as error:
                self._log.warning("priors_failed", code=error.code)
            except Exception as error:  # noqa: BLE001 - outermost: the next studies must be searched for
                self._log.error("priors_failed", code="unexpected", error_type=type(error).__name__)

    def _in_thread(self, task: SearchTask) -> None:
        try:
            self._search(task)
        except AgentError as error:  # the deadline passes by itself
            self._log.warning("priors_failed", job_id=task.job_id, code=error.code)
        except Exception as error:  # noqa: BLE001 - outermost of this thread; the deadline passes by itself
            self._log.error(
                "priors_failed", job_id=task.job_id, code="unexpected", error_type=type(error).__name__
            )
        finally:
            with self._lock:
                self._running -= 1

    def _take(self, limit: int) -> list[SearchTask]:
        """Claim open searches, urgent ones first, so that no other process runs them."""
        chosen = (
            select(PriorSearch, Study)
            .join(Job, Job.id == PriorSearch.job_id)
            .join(Study, Study.id == Job.study_id)
            .where(
                PriorSearch.ended_at.is_(None),
                PriorSearch.owner.is_(None),
                Job.state == JobState.QUEUED.value,
            )
            .order_by(Job.priority, PriorSearch.deadline)
            .limit(limit)
        )
        with self._database.reading() as session:
            if session.execute(chosen.where(PriorSearch.deadline > database_now(session))).first() is None:
                return []
        with self._database.transaction() as session:
            now = database_now(session)
            open_ones = chosen.where(PriorSearch.deadline > now)
            rows = session.execute(open_ones.with_for_update(skip_locked=True, of=PriorSearch)).all()
            for search, _study in rows:
                search.owner = self._owner
            taken = [(_task(search, study, now), _first_image(session, study.id)) for search, study in rows]
        # No row stays locked while a file is read, which may have to be fetched from a bucket first.
        return [
            replace(task, patient=replace(task.patient, patient_sex=_sex_in(self._store, sha256)))
            for task, sha256 in taken
        ]

    def _search(self, task: SearchTask) -> None:
        """Run one search and write its outcome."""
        if self._searcher is None:  # the settings were changed since the study was queued
            reason = "no archive is configured"
            self._end(task.job_id, SearchResult(code=NOT_ASKED, reason=reason, asked=False))
            return
        if not task.patient.patient_id or len(task.study_date) != 8 or not task.study_date.isdigit():
            reason = "the study has no patient ID or no study date to search by"
            self._end(task.job_id, SearchResult(code=NOT_ASKED, reason=reason, asked=False))
            return
        with self._lock:
            allowed = self._breaker.allows(time.monotonic())
        if not allowed:
            reason = "the archive has failed several times and is not queried for a while"
            self._end(task.job_id, SearchResult(code=ArchiveUnavailable.code, reason=reason, asked=False))
            return
        result = self._searcher.search(task)
        self._remember(outage=result.outage)
        self._log.info(
            "priors",
            job_id=task.job_id,
            study_ref=study_ref(task.study_instance_uid),
            code=result.code,
            count=len(result.links),
        )
        self._end(task.job_id, result)

    def _remember(self, *, outage: bool) -> None:
        """Stop querying an archive that failed several times, so that it does not delay every study."""
        with self._lock:
            self._breaker = (
                self._breaker.failed(time.monotonic(), self._chance.random(), QUERY_PAUSES)
                if outage
                else self._breaker.succeeded()
            )

    def _close_late(self) -> None:
        """End the searches whose deadline has passed."""
        with self._database.reading() as session:
            now = database_now(session)
            late = session.execute(
                select(PriorSearch.job_id, PriorSearch.owner, PriorSearch.deadline)
                .where(PriorSearch.ended_at.is_(None), PriorSearch.deadline <= now)
                .limit(100)
            ).all()
        for job_id, owner, deadline in late:
            if owner is None or deadline + timedelta(seconds=GRACE_S) <= now:
                self._end(
                    job_id,
                    SearchResult(code=LATE, reason="the earlier studies did not arrive in time", asked=False),
                )

    def _end(self, job_id: int, result: SearchResult) -> None:
        """Write the outcome of a search, and release its job."""
        with self._database.transaction() as session:
            now = database_now(session)
            search = session.get_one(PriorSearch, job_id, with_for_update=True)
            if search.ended_at is not None:
                return
            job = session.get_one(Job, job_id, with_for_update=True)
            search.code, search.ended_at = result.code, now
            if (
                job.state == JobState.QUEUED.value
                and job.run_after == search.deadline
                and now < job.run_after
            ):
                job.run_after = now
                notify(session, JOBS)
            for link in result.links:
                prior_id = session.scalars(
                    select(Study.id).where(Study.study_instance_uid == link.study_instance_uid)
                ).one()
                session.add(
                    PriorLink(
                        job_id=job_id,
                        study_id=job.study_id,
                        prior_id=prior_id,
                        report=link.report,
                        report_from=link.report_from,
                    )
                )
            remark(session, job, code=result.code, reason=result.reason, actor=self._owner, at=now)
            self._audit(session, job.study_id, result, now)

    def _audit(self, session: Session, study_id: int, result: SearchResult, now: datetime) -> None:
        archive = self._settings.archive
        if archive is None or not result.asked:
            return
        record(
            session,
            Event(
                action=Action.QUERY,
                actor=self._owner,
                address=archive.address,
                succeeded=result.answers is not None,
                study_id=study_id,
                details={"query": "STUDY", "count": result.answers or 0},
            ),
            at=now,
        )
        outcomes = [(result.code == FOUND, result.code, len(result.links))] if result.answers else []
        if result.refused and result.code != PATIENT_MISMATCH:
            outcomes.append((False, PATIENT_MISMATCH, result.refused))
        for succeeded, code, count in outcomes:
            record(
                session,
                Event(
                    action=Action.PRIORS,
                    actor=archive.ae_title,
                    address=archive.address,
                    succeeded=succeeded,
                    study_id=study_id,
                    details={"code": code, "count": count},
                ),
                at=now,
            )


def _task(search: PriorSearch, study: Study, now: datetime) -> SearchTask:
    return SearchTask(
        job_id=search.job_id,
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        study_date=study.study_date,
        study_time=study.study_time,
        patient=patient_of_row(study),
        budget_s=(search.deadline - now).total_seconds(),
    )


def _first_image(session: Session, study_id: int) -> str | None:
    """Return the sha256 of the first image of a study that is still stored."""
    return session.scalar(
        select(Instance.sha256)
        .where(
            Instance.study_id == study_id,
            Instance.prior.is_(False),
            Instance.purged_at.is_(None),
            Instance.sop_class_uid != NOTE_CLASS,
        )
        .order_by(Instance.id)
        .limit(1)
    )


def _sex_in(store: InstanceStore, sha256: str | None) -> str:
    """Return the patient's sex as an image states it, because no column holds it."""
    if sha256 is None:
        return ""
    try:
        return read_stored(store.open(sha256)).patient_sex
    except AgentError:
        return ""

"""The ticks: quiet studies are completed, what a silent owner holds is taken back, files that may go are
purged, and audit messages are sent out.

APScheduler only ticks. When something is due stands in the database, so a missed or a doubled tick, or a
second housekeeper, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent.audit_export import AuditExporter
from agent.db.session import Database, database_now
from agent.db.tables import Instance, Job, Study
from agent.eligibility import Selection, select_images
from agent.errors import (
    AgentError,
    AuditUndelivered,
    InstanceMissing,
    PatientConflict,
    UnreadableInstance,
)
from agent.header import read_stored
from agent.intake import PATIENT_CONFLICT
from agent.log import get_logger, study_ref
from agent.priors import begin_search
from agent.queue import deliveries, jobs
from agent.queue.retry import RetryPolicy
from agent.queue.states import JobState, move
from agent.retention_purge import Purge
from agent.settings import Settings
from agent.status import free_mb
from agent.store import InstanceStore

ACTOR = "housekeeping"
_BATCH = 50
_RECLAIM_EVERY_S = 5.0
_EXPORT_EVERY_S = 5.0
_PURGE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a tick did with one study's job: the state that it went to, and why."""

    job_id: int
    study_instance_uid: str
    state: JobState
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A job that is due, with what was there when it was looked at."""

    job_id: int
    study_id: int
    study_instance_uid: str
    conflict: str | None
    sha256s: tuple[str, ...]


def complete_due_studies(
    database: Database, settings: Settings, store: InstanceStore, now: datetime | None = None
) -> list[Completed]:
    """Bring each due job on: QUEUED, SKIPPED by a rule, or FAILED; `now` is the database's time if left out.

    Due is a job in RECEIVING whose quiet time has passed, or its `force_at`: then it is queued as
    incomplete, never dropped. A job that received another image meanwhile waits for the next tick.

    Raises:
        DatabaseUnavailable: what was done before it is done.
    """
    done = []
    for due in _due(database, now):
        state, code, reason = _verdict(due, settings, store)
        with database.transaction() as session:
            moment = now or database_now(session)
            job = session.scalars(select(Job).where(Job.id == due.job_id).with_for_update()).one()
            if job.state != JobState.RECEIVING or _hashes(session, job.study_id) != due.sha256s:
                continue
            forced = job.due_at is not None and job.due_at > moment
            if forced and not (job.force_at is not None and job.force_at <= moment):
                continue
            # A late image after the purge of the others: its draft cannot know what they showed.
            job.incomplete = forced or _lacks_files(session, job.study_id)
            job.run_after = moment
            move(session, job, state, now=moment, code=code, reason=reason, actor=ACTOR)
            if state is JobState.QUEUED:
                begin_search(session, job, settings.priors, moment)
        done.append(
            Completed(
                job_id=due.job_id,
                study_instance_uid=due.study_instance_uid,
                state=state,
                code=code,
                reason=reason,
            )
        )
    return done


def _due(database: Database, now: datetime | None) -> list[_Due]:
    with database.reading() as session:
        moment = now or database_now(session)
        rows = session.execute(
            select(Job.id, Job.study_id, Study.study_instance_uid, Study.conflict)
            .join(Study, Study.id == Job.study_id)
            .where(
                Job.state == JobState.RECEIVING.value,
                or_(Job.due_at <= moment, Job.force_at <= moment),
            )
            .order_by(Job.priority, Job.due_at)
            .limit(_BATCH)
        ).all()
        return [
            _Due(
                job_id=row.id,
                study_id=row.study_id,
                study_instance_uid=row.study_instance_uid,
                conflict=row.conflict,
                sha256s=_hashes(session, row.study_id),
            )
            for row in rows
        ]


def _hashes(session: Session, study_id: int) -> tuple[str, ...]:
    """Return the newest content of each SOP Instance of a study, in the order of arrival."""
    rows = session.execute(
        select(Instance.sop_instance_uid, Instance.sha256)
        .where(Instance.study_id == study_id, Instance.prior.is_(False), Instance.purged_at.is_(None))
        .order_by(Instance.id)
    )
    return tuple({row.sop_instance_uid: row.sha256 for row in rows}.values())


def _lacks_files(session: Session, study_id: int) -> bool:
    purged = select(Instance.id).where(
        Instance.study_id == study_id, Instance.prior.is_(False), Instance.purged_at.is_not(None)
    )
    return session.execute(purged.limit(1)).first() is not None


def _verdict(due: _Due, settings: Settings, store: InstanceStore) -> tuple[JobState, str | None, str | None]:
    if due.conflict == PATIENT_CONFLICT:
        return JobState.FAILED, PatientConflict.code, PatientConflict.__doc__
    try:
        headers = [read_stored(store.open(sha256)) for sha256 in due.sha256s]
    except (InstanceMissing, UnreadableInstance) as error:
        return JobState.FAILED, error.code, str(error)
    selection: Selection = select_images(settings.eligibility, headers)
    if not selection.accepted:
        return JobState.SKIPPED, selection.skipping_rule, selection.reason
    return JobState.QUEUED, None, selection.reason


class Housekeeper:
    """Runs the ticks in threads of its own between `start` and `stop`."""

    def __init__(self, database: Database, settings: Settings, store: InstanceStore, chance: Random) -> None:
        self._database = database
        self._settings = settings
        self._store = store
        self._chance = chance
        self._log = get_logger(ACTOR)
        self._exporter = AuditExporter(database, settings)
        self._undelivered = False
        self._purge = Purge(database, settings, store, partial(free_mb, settings.storage.path), actor=ACTOR)
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Begin to tick; the first ticks come at once."""
        studies = self._settings.studies
        shortest = min(studies.quiet_time_s, studies.stat_quiet_time_s)
        self._every(min(max(shortest / 4, 0.1), 1.0), self.complete)
        self._every(_RECLAIM_EVERY_S, self.reclaim)
        if self._exporter.wanted:
            self._every(_EXPORT_EVERY_S, self.export)
        if self._purge.wanted:
            self._every(_PURGE_EVERY_S, self.purge)
        self._scheduler.start()

    def stop(self) -> None:
        """End after the ticks that are running."""
        self._scheduler.shutdown(wait=True)

    def complete(self) -> None:
        """Complete the studies that are due."""
        for done in complete_due_studies(self._database, self._settings, self._store):
            self._log.info(
                "study_complete",
                job_id=done.job_id,
                study_ref=study_ref(done.study_instance_uid),
                state=done.state.value,
                code=done.code,
            )

    def reclaim(self) -> None:
        """Take back the jobs and deliveries whose owner has gone silent."""
        delivery = self._settings.delivery
        worker = self._settings.worker
        count = jobs.reclaim_expired(
            self._database,
            RetryPolicy(
                maximum_attempts=worker.maximum_attempts,
                first_s=worker.first_retry_s,
                longest_s=worker.longest_retry_s,
            ),
            chance=self._chance,
            actor=ACTOR,
        )
        count += deliveries.reclaim_expired(
            self._database,
            RetryPolicy(first_s=delivery.first_retry_s, longest_s=delivery.longest_retry_s),
            chance=self._chance,
            actor=ACTOR,
        )
        if count:
            self._log.warning("leases_reclaimed", count=count)

    def export(self) -> None:
        """Send out the audit messages that are new; a destination that is down is told of once."""
        try:
            self._exporter.run_once()
        except AuditUndelivered as error:
            if not self._undelivered:
                self._log.warning("audit_waits", code=error.code)
            self._undelivered = True
            return
        if self._undelivered:
            self._log.info("audit_delivered")
        self._undelivered = False

    def purge(self) -> None:
        """Remove image files that need not be kept any longer."""
        done = self._purge.tick()
        if done.files or done.quarantined:
            self._log.info("purged", count=done.files + done.quarantined, size_bytes=done.size_bytes)

    def _every(self, seconds: float, tick: Callable[[], None]) -> None:
        self._scheduler.add_job(
            self._guarded, "interval", (tick,), seconds=seconds, next_run_time=datetime.now(UTC)
        )

    def _guarded(self, tick: Callable[[], None]) -> None:
        """Run a tick; what it raises ends this tick, not the ticking."""
        try:
            tick()
        except AgentError as error:
            self._log.error("tick_failed", code=error.code, retryable=error.retryable)
        except Exception as error:  # noqa: BLE001 - outermost: the next tick must come
            self._log.error("tick_failed", code="unexpected", error_type=type(error).__name__)

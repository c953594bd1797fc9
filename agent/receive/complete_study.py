"""Completes quiet studies: the gate queues, skips or fails each, or it waits longer.

A study waits while its images arrive and, if the archive is queried, while the archive holds more of them. It
never waits beyond `force_at`: then it is queued as incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, or_, select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.backfill import is_given_up, is_retrieving
from agent.database.session import Database, database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Job, JobEvent, Study
from agent.foundation.errors import InstanceMissing, StoreUnavailable
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.objects.header import STAT_PRIORITY
from agent.objects.store import InstanceStore
from agent.queue import gate
from agent.queue.gate import Judgement
from agent.queue.prior_wait import begin_search
from agent.receive.archive_count import ArchiveAnswer, ArchiveCount, HeldStudy
from agent.receive.corrections import only_corrected
from agent.receive.repetition import drop_repetition, is_repetition

ACTOR = "housekeeping"
ARCHIVE_HOLDS_MORE = "archive-holds-more"
_BATCH = 50
_NOT_ASKED = ArchiveAnswer()
# Thousands of studies from the archive must not delay the completion of a study that is waited for.
_RANK = case({lane.value: lane.rank for lane in Lane}, value=Job.lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """One completed study: the state that its job went to, and why."""

    job_id: int
    study_instance_uid: str
    state: JobState
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A job that is due, with the gate's judgement of its study."""

    job_id: int
    study_id: int
    study_instance_uid: str
    judgement: Judgement
    # Its images are those of the previous draft, in other bytes.
    repeats: bool
    # Images arrived again with other attributes, but the same pictures.
    corrected: bool


def complete_due_studies(
    database: Database,
    settings: Settings,
    store: InstanceStore,
    now: datetime | None = None,
    *,
    archive: ArchiveCount | None = None,
) -> list[Completed]:
    """Move each due job through the gate: to QUEUED, SKIPPED or FAILED.

    A job in RECEIVING is due when its quiet time has passed, or its `force_at`: then it is queued as
    incomplete, never dropped. A job that received another image meanwhile waits for the next tick, and so
    does one for which the `archive` holds more images. now: the database's time if left out.

    Raises:
        DatabaseUnavailable: the jobs before it are completed, the others wait for the next tick.
    """
    judged: list[_Due] = []
    for job_id, study_id, uid in _due(database, now):
        try:
            judgement = gate.judge(database, store, settings, study_id)
            repeats = _repeats(database, store, job_id)
            corrected = judgement.contents.changed and _corrected(database, store, study_id)
        except StoreUnavailable as error:
            # The study stays RECEIVING, and is judged again at the next tick.
            get_logger(ACTOR).warning("store_unavailable", code=error.code)
            break
        judged.append(
            _Due(
                job_id=job_id,
                study_id=study_id,
                study_instance_uid=uid,
                judgement=judgement,
                repeats=repeats,
                corrected=corrected,
            )
        )
    answers = _ask(archive, judged)
    done = []
    for due in judged:
        answer = answers.get(due.study_instance_uid, _NOT_ASKED)
        completed = _complete(database, settings, due, answer, now)
        if completed is not None:
            done.append(completed)
    return done


def _repeats(database: Database, store: InstanceStore, job_id: int) -> bool:
    """Whether the job's images are those of the previous draft, in other bytes."""
    try:
        return is_repetition(database, store, job_id)
    except InstanceMissing:
        return False


def _corrected(database: Database, store: InstanceStore, study_id: int) -> bool:
    """Whether the study's images arrived again with only other attributes."""
    try:
        return only_corrected(database, store, study_id)
    except InstanceMissing:
        return False


def _ask(archive: ArchiveCount | None, judged: Sequence[_Due]) -> Mapping[str, ArchiveAnswer]:
    """Query the archive about the studies that would be drafted."""
    if archive is None:
        return {}
    return archive.ask(
        [
            HeldStudy(
                study_instance_uid=due.study_instance_uid, sop_instance_uids=due.judgement.contents.arrived
            )
            for due in judged
            if due.judgement.refusal is None
        ]
    )


def _complete(
    database: Database,
    settings: Settings,
    due: _Due,
    answer: ArchiveAnswer,
    now: datetime | None,
) -> Completed | None:
    """Move one job, unless its study has changed since it was judged, or the archive holds more of it."""
    judgement, reason = due.judgement, due.judgement.reason
    with database.transaction() as session:
        moment = now or database_now(session)
        # The study before its job, as intake locks them.
        study = session.scalars(select(Study).where(Study.id == due.study_id).with_for_update()).one()
        job = session.scalars(select(Job).where(Job.id == due.job_id).with_for_update()).one()
        if job.state != JobState.RECEIVING or not gate.still_holds(session, study.id, judgement):
            return None
        over = job.force_at is not None and job.force_at <= moment
        receiving = job.due_at is not None and job.due_at > moment
        if receiving and not over:
            return None
        if due.repeats and drop_repetition(session, study, job, moment, ACTOR):
            _end_conflict(study, due)
            return Completed(
                job_id=due.job_id,
                study_instance_uid=due.study_instance_uid,
                state=JobState.CANCELED,
                code=job.code,
                reason=job.reason,
            )
        if answer.missing and not over:
            _wait_on(session, settings, job, answer, moment)
            return None
        # A late image after the others were purged: its draft cannot use them.
        job.incomplete = (
            receiving
            or answer.missing > 0
            or judgement.contents.purged
            or _is_part_of_an_old_study(session, job, due.study_instance_uid)
        )
        job.run_after = moment
        if answer.missing:
            reason = f"{reason}; the archive holds {answer.missing} more"
        elif answer.code is not None:
            reason = f"{reason}; the archive could not be asked for more: {answer.code}"
        state = gate.enter(session, study, job, judgement, now=moment, actor=ACTOR, reason=reason)
        _end_conflict(study, due)
        if state is JobState.QUEUED:
            begin_search(session, job, settings.priors, moment)
        return Completed(
            job_id=due.job_id,
            study_instance_uid=due.study_instance_uid,
            state=state,
            code=job.code,
            reason=job.reason,
        )


def _is_part_of_an_old_study(session: Session, job: Job, study_instance_uid: str) -> bool:
    """Whether the backfill gave up its retrieval: the part that has arrived is drafted, and marked
    incomplete.
    """
    if job.lane != Lane.BACKFILL:
        return False
    return bool(session.scalar(select(is_given_up(study_instance_uid))))


def _end_conflict(study: Study, due: _Due) -> None:
    if due.corrected and study.conflict == gate.INSTANCE_CONFLICT:
        study.conflict = None


def _wait_on(session: Session, settings: Settings, job: Job, answer: ArchiveAnswer, now: datetime) -> None:
    """Postpone a job by another quiet time; its history records the reason once."""
    quiet_s = settings.studies.quiet_for_s(stat=job.priority == STAT_PRIORITY)
    job.due_at = now + timedelta(seconds=quiet_s)
    if job.code == ARCHIVE_HOLDS_MORE:
        return
    job.code, job.updated_at = ARCHIVE_HOLDS_MORE, now
    job.reason = f"the archive holds {answer.missing} more image(s) of this study"
    state = JobState.RECEIVING.value
    session.add(
        JobEvent(
            job_id=job.id,
            at=now,
            from_state=state,
            to_state=state,
            code=job.code,
            reason=job.reason,
            actor=ACTOR,
        )
    )
    if settings.archive is not None:
        record(
            session,
            Event(
                action=Action.QUERY,
                actor=ACTOR,
                address=settings.archive.address,
                study_id=job.study_id,
                details={"query": "IMAGE", "count": answer.missing},
            ),
            at=now,
        )


def _due(database: Database, now: datetime | None) -> list[tuple[int, int, str]]:
    """Return the number of each job that is due, its study's row, and its Study Instance UID."""
    with database.reading() as session:
        moment = now or database_now(session)
        rows = session.execute(
            select(Job.id, Job.study_id, Study.study_instance_uid)
            .join(Study, Study.id == Job.study_id)
            .where(
                Job.state == JobState.RECEIVING.value,
                or_(Job.due_at <= moment, Job.force_at <= moment),
                # Nobody waits for an old study: it is not drafted from only part of its images.
                or_(Job.lane != Lane.BACKFILL.value, ~is_retrieving(Study.study_instance_uid)),
            )
            .order_by(_RANK, Job.priority, Job.due_at)
            .limit(_BATCH)
        ).all()
        return [(row.id, row.study_id, row.study_instance_uid) for row in rows]

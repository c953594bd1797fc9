"""A study that has gone quiet is completed: queued, skipped by a rule, or failed; or it waits on.

It waits while its images come in, and, where the archive is asked, while the archive holds more of them. It
never waits beyond `force_at`: then it is queued as incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.tables import Instance, Job, JobEvent, Study
from agent.films.routing.rules import Decision, Router, router_of
from agent.foundation.errors import InstanceMissing, PatientConflict, StoreUnavailable, UnreadableInstance
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.objects.header import STAT_PRIORITY, read_stored
from agent.objects.store import InstanceStore
from agent.priors.links import begin_search
from agent.queue.states import JobState, move
from agent.receive.archive_count import Answer, ArchiveCount, Held
from agent.receive.intake import PATIENT_CONFLICT

ACTOR = "housekeeping"
ARCHIVE_HOLDS_MORE = "archive-holds-more"
_BATCH = 50
_NOT_ASKED = Answer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a tick did with one study's job: the state that it went to, and why."""

    job_id: int
    study_instance_uid: str
    state: JobState
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """What came of a study.

    sha256s: the newest content of each SOP Instance that is still here, in the order of arrival.
    sop_instance_uids: all that ever came, whether it is still here or not.
    purged: whether something that came is not here any more.
    """

    sha256s: tuple[str, ...]
    sop_instance_uids: frozenset[str]
    purged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A job that is due, with what was there when it was looked at."""

    job_id: int
    study_instance_uid: str
    conflict: str | None
    images: _Images


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """Where a due job goes, and why."""

    state: JobState
    code: str | None
    reason: str | None
    # The decision on each image, by its content's sha256.
    decisions: Mapping[str, Decision] = field(default_factory=dict)


def complete_due_studies(
    database: Database,
    settings: Settings,
    store: InstanceStore,
    now: datetime | None = None,
    *,
    archive: ArchiveCount | None = None,
) -> list[Completed]:
    """Bring each due job on: QUEUED, SKIPPED by a rule, or FAILED; `now` is the database's time if left out.

    Due is a job in RECEIVING whose quiet time has passed, or its `force_at`: then it is queued as
    incomplete, never dropped. A job that received another image meanwhile waits for the next tick, and so
    does one of which the `archive` holds more images.

    Raises:
        DatabaseUnavailable: what was done before it is done.
    """
    judged: list[tuple[_Due, _Verdict]] = []
    router = router_of(settings)
    for due in _due(database, now):
        try:
            judged.append((due, _verdict(due, router, store)))
        except StoreUnavailable as error:
            # The study stays RECEIVING, and is looked at again with the next tick.
            get_logger(ACTOR).warning("store_unavailable", code=error.code)
            break
    answers = _ask(archive, judged)
    done = []
    for due, verdict in judged:
        answer = answers.get(due.study_instance_uid, _NOT_ASKED)
        completed = _complete(database, settings, due, verdict, answer, now)
        if completed is not None:
            done.append(completed)
    return done


def _ask(archive: ArchiveCount | None, judged: Sequence[tuple[_Due, _Verdict]]) -> Mapping[str, Answer]:
    """Ask about the studies that would be drafted."""
    if archive is None:
        return {}
    return archive.ask(
        [
            Held(study_instance_uid=due.study_instance_uid, sop_instance_uids=due.images.sop_instance_uids)
            for due, verdict in judged
            if verdict.state is JobState.QUEUED
        ]
    )


def _complete(
    database: Database,
    settings: Settings,
    due: _Due,
    verdict: _Verdict,
    answer: Answer,
    now: datetime | None,
) -> Completed | None:
    """Move one job, unless something has changed since it was looked at, or the archive holds more."""
    reason = verdict.reason
    with database.transaction() as session:
        moment = now or database_now(session)
        job = session.scalars(select(Job).where(Job.id == due.job_id).with_for_update()).one()
        images = _images(session, job.study_id)
        if job.state != JobState.RECEIVING or images.sha256s != due.images.sha256s:
            return None
        over = job.force_at is not None and job.force_at <= moment
        receiving = job.due_at is not None and job.due_at > moment
        if receiving and not over:
            return None
        if answer.missing and not over:
            _wait_on(session, settings, job, answer, moment)
            return None
        # A late image after the purge of the others: its draft cannot know what they showed.
        job.incomplete = receiving or answer.missing > 0 or images.purged
        job.run_after = moment
        if answer.missing:
            reason = f"{reason}; the archive holds {answer.missing} more"
        elif answer.code is not None:
            reason = f"{reason}; the archive could not be asked for more: {answer.code}"
        move(session, job, verdict.state, now=moment, code=verdict.code, reason=reason, actor=ACTOR)
        _keep_decisions(session, verdict.decisions)
        if verdict.state is JobState.QUEUED:
            begin_search(session, job, settings.priors, moment)
    return Completed(
        job_id=due.job_id,
        study_instance_uid=due.study_instance_uid,
        state=verdict.state,
        code=verdict.code,
        reason=reason,
    )


def _wait_on(session: Session, settings: Settings, job: Job, answer: Answer, now: datetime) -> None:
    """Look at a job again after another quiet time; its history tells once why it waits."""
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
                address=settings.archive.host,
                study_id=job.study_id,
                details={"query": "IMAGE", "count": answer.missing},
            ),
            at=now,
        )


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
                study_instance_uid=row.study_instance_uid,
                conflict=row.conflict,
                images=_images(session, row.study_id),
            )
            for row in rows
        ]


def _images(session: Session, study_id: int) -> _Images:
    """Return what came of a study to be drafted."""
    rows = session.execute(
        select(Instance.sop_instance_uid, Instance.sha256, Instance.purged_at)
        .where(Instance.study_id == study_id, Instance.prior.is_(False))
        .order_by(Instance.id)
    ).all()
    here = {row.sop_instance_uid: row.sha256 for row in rows if row.purged_at is None}
    return _Images(
        sha256s=tuple(here.values()),
        sop_instance_uids=frozenset(row.sop_instance_uid for row in rows),
        purged=any(row.purged_at is not None for row in rows),
    )


def _verdict(due: _Due, router: Router, store: InstanceStore) -> _Verdict:
    if due.conflict == PATIENT_CONFLICT:
        return _Verdict(state=JobState.FAILED, code=PatientConflict.code, reason=PatientConflict.__doc__)
    try:
        headers = [read_stored(store.open(sha256)) for sha256 in due.images.sha256s]
    except (InstanceMissing, UnreadableInstance) as error:
        return _Verdict(state=JobState.FAILED, code=error.code, reason=str(error))
    selection = router.select(headers)
    state = JobState.QUEUED if selection.accepted else JobState.SKIPPED
    return _Verdict(
        state=state,
        code=None if selection.accepted else selection.skipping_rule,
        reason=selection.reason,
        decisions=dict(zip(due.images.sha256s, selection.decisions, strict=True)),
    )


def _keep_decisions(session: Session, decisions: Mapping[str, Decision]) -> None:
    """Keep with each image whether it was skipped for its words: `status` sums that up by sender."""
    if not decisions:
        return
    for row in session.scalars(select(Instance).where(Instance.sha256.in_(list(decisions)))):
        decision = decisions[row.sha256]
        row.skipped_by = decision.rule if decision.for_words else None
        row.skipped_region = decision.region.name if decision.for_words else ""
        row.skipped_words = decision.words if decision.for_words else ""

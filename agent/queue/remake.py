"""Makes a draft again from the same images, because the other information that it was given has changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.states import JobState, Lane
from agent.database.tables import Draft, Job, Study
from agent.foundation.errors import PatientConflict
from agent.objects.films.routing.rules import NO_RULE
from agent.queue import jobs
from agent.queue.contents import contents_of

_NOT_BEGUN = (JobState.RECEIVING.value, JobState.QUEUED.value)


def remake(
    session: Session, study: Study, *, now: datetime, code: str, reason: str, actor: str, running: bool
) -> Job | None:
    """Make the next revision of a study; return its job, or None if nothing needs to be made again.

    The caller holds the study's row. running: even if the present revision is being drafted at this moment.
    A draft that a radiologist has reviewed is not made again, nor one whose images are no longer here.
    """
    if study.prior:
        return None
    job = _newest_job(session, study)
    if job is None or job.state in _NOT_BEGUN:
        return None
    if job.state == JobState.GENERATING.value:
        if not running:
            return None
    elif open_draft(session, study) is None:
        return None
    return _next_revision(session, study, job, now=now, code=code, reason=reason, actor=actor)


def judge_again(
    session: Session, study: Study, *, now: datetime, code: str, reason: str, actor: str
) -> Job | None:
    """Let the gate judge again a study whose images do not state what they show; return the new job, if any.

    The caller holds the study's row.
    """
    job = _newest_job(session, study)
    if study.prior or job is None or job.state != JobState.SKIPPED.value or job.code != NO_RULE:
        return None
    return _next_revision(session, study, job, now=now, code=code, reason=reason, actor=actor)


def judge_conflict_again(
    session: Session, study: Study, *, now: datetime, code: str, reason: str, actor: str
) -> Job | None:
    """Let the gate judge a study with a patient conflict again; return its job, if it had one.

    The caller holds the study's row.
    """
    job = _newest_job(session, study)
    conflict = study.conflict == PatientConflict.code
    if study.prior or job is None or job.state != JobState.FAILED.value or not conflict:
        return None
    return _next_revision(session, study, job, now=now, code=code, reason=reason, actor=actor)


def _newest_job(session: Session, study: Study) -> Job | None:
    return session.scalars(
        select(Job)
        .where(Job.study_id == study.id, Job.kind == "draft")
        .order_by(Job.revision.desc(), Job.id.desc())
        .limit(1)
        .with_for_update()
    ).first()


def _next_revision(
    session: Session, study: Study, job: Job, *, now: datetime, code: str, reason: str, actor: str
) -> Job | None:
    contents = contents_of(session, study.id)
    if not contents.here or contents.purged:
        return None
    study.revision += 1
    made = jobs.enqueue(
        session,
        study,
        now=now,
        revision=study.revision,
        priority=job.priority,
        lane=Lane(job.lane),
        due_at=now,
        actor=actor,
    )
    if made is not None:
        made.code, made.reason = code, reason
    return made


def open_draft(session: Session, study: Study) -> Draft | None:
    """Return the study's newest draft if it was neither reviewed nor withdrawn."""
    newest = session.scalars(
        select(Draft).where(Draft.study_id == study.id).order_by(Draft.id.desc()).limit(1)
    ).first()
    if newest is None or newest.outcome != "drafted" or newest.withdrawal is not None:
        return None
    return newest

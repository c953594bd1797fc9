"""Detects a revision with the same images as the previous one in other bytes, which is not drafted again.

The listener cannot detect it, because it decodes nothing before it answers. Once the revision is quiet,
its images are compared with the files of the previous revision. Both files stay, each with its digest.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, func, not_, select, update
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.database.states import JobState
from agent.database.tables import Instance, Job, Study
from agent.objects.same_image import same_image
from agent.objects.store import InstanceStore
from agent.queue.contents import contents_of
from agent.queue.states import move
from agent.receive.intake import SUPERSEDED

SAME_IMAGES = "same-images"
# The states of a revision with a draft, or with one in progress.
_DRAFTED = (
    JobState.GENERATING.value,
    JobState.DRAFTED.value,
    JobState.DELIVERING.value,
    JobState.DELIVERED.value,
)


def is_repetition(database: Database, store: InstanceStore, job_id: int) -> bool:
    """Whether every image of a job's study is the one that the previous revision was drafted from.

    Raises:
        DatabaseUnavailable, StoreUnavailable: nothing is known.
        InstanceMissing: a file is gone.
    """
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        drafted = _drafted_before(session, job)
        if drafted is None:
            return False
        before = contents_of(session, job.study_id, up_to_revision=drafted.revision)
        now = contents_of(session, job.study_id)
    if before.purged or now.purged or before.arrived != now.arrived:
        return False
    old = {one.sop_instance_uid: one.sha256 for one in before.here}
    changed = [(old[one.sop_instance_uid], one.sha256) for one in now.here]
    changed = [(first, second) for first, second in changed if first != second]
    return bool(changed) and all(
        same_image(store.open(first), store.open(second)) for first, second in changed
    )


def drop_repetition(session: Session, study: Study, job: Job, now: datetime, actor: str) -> bool:
    """Cancel the job and give its images to the previous revision; return whether that still has its
    draft.
    """
    before = _drafted_before(session, job)
    if before is None or study.revision != job.revision:
        return False
    reason = f"its images are those of revision {before.revision}, in other bytes"
    move(session, job, JobState.CANCELED, now=now, code=SAME_IMAGES, reason=reason, actor=actor)
    _free_numbers(session, job, before.revision)
    session.execute(
        update(Instance)
        .where(Instance.study_id == study.id, Instance.revision > before.revision)
        .values(revision=before.revision)
        .execution_options(synchronize_session=False)
    )
    study.revision = before.revision
    return True


def _drafted_before(session: Session, job: Job) -> Job | None:
    """Return the job of the last revision that was drafted or is being drafted, unless one stopped since.

    Each image of a resent study may begin a revision, which the next one supersedes.
    """
    passed_over = and_(
        Job.state == JobState.CANCELED.value, func.coalesce(Job.code, "").in_((SUPERSEDED, SAME_IMAGES))
    )
    before = session.scalars(
        select(Job)
        .where(
            Job.study_id == job.study_id, Job.kind == job.kind, Job.revision < job.revision, not_(passed_over)
        )
        .order_by(Job.revision.desc(), Job.id.desc())
        .limit(1)
    ).first()
    return before if before is not None and before.state in _DRAFTED else None


def _free_numbers(session: Session, job: Job, drafted: int) -> None:
    """Free the revisions after the drafted one for new images: their jobs count as belonging to the first
    of them.
    """
    later = select(Job).where(Job.study_id == job.study_id, Job.kind == job.kind, Job.revision > drafted)
    for one in session.scalars(later.with_for_update()):
        one.revision = drafted + 1
        if SAME_IMAGES not in one.idempotency_key:
            one.idempotency_key = f"{one.idempotency_key}|{SAME_IMAGES}|{one.id}"

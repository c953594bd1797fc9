"""What a person may do to a job: retry it, stop it, change its priority, or resolve a conflict.

No command bypasses the gate: a person's request is checked like a sender's study.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.states import UNSENT, DeliveryState, JobState
from agent.database.tables import Delivery, Document, Draft, Job, Study
from agent.database.wakeup import DELIVERIES, notify
from agent.foundation.errors import (
    DemonstrationModelRefused,
    DraftWithdrawn,
    InvalidTransition,
    NotFound,
    PatientConflict,
    StudyChanged,
)
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.queue import gate
from agent.queue.contents import contents_of
from agent.queue.deliveries import set_state
from agent.queue.lanes import set_priority
from agent.queue.order import was_overtaken
from agent.queue.states import check_job_step, move
from agent.queue.withdrawal import is_withdrawn

BY_A_PERSON = "requested by a person"
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorContext:
    """What an operator's commands work on: the queue, the images, and the current rules."""

    database: Database
    store: InstanceStore
    settings: Settings


def retry(context: OperatorContext, job_id: int, *, actor: str) -> JobState:
    """Restart a stopped job: its dead or canceled deliveries if it has a draft, otherwise the drafting.

    Everything passes the gate (`agent.queue.gate`): what may not be drafted or sent now stays where it is.
    For documents that are stored but not committed, commitment is requested again; a delivered job has
    nothing else to retry.

    Raises:
        InvalidTransition: there is no such job, it has not stopped, or it is not the study's newest revision.
        PatientConflict, NotAChestStudy, InstanceMissing, UnreadableInstance: the study may not be drafted.
        DraftWithdrawn: the draft names a patient who is no longer the study's.
        DemonstrationModelRefused: none of its destinations may receive this model's drafts.
    """
    with context.database.transaction() as session:
        now = database_now(session)
        job = _locked(session, job_id)
        drafted = select(Draft.id).where(Draft.job_id == job_id, Draft.outcome.in_(("drafted", "verified")))
        has_draft = session.scalar(drafted.limit(1)) is not None
        if has_draft or job.kind != "draft":
            return _send_again(context, session, job, now=now, actor=actor)
        check_job_step(job.state, JobState.QUEUED)
        # The notice that there is no draft may be sent again, whatever the gate decides.
        _revive(session, job, context.settings, now=now)
        study_id = job.study_id
    return _draft_again(context, study_id, job_id, actor=actor)


def resolve(
    context: OperatorContext, study_instance_uid: str, sop_instance_uid: str, *, reason: str, actor: str
) -> JobState:
    """Resolve a study's patient conflict by a person's decision: the patient named by one image is the
    study's.

    Images that name another patient are left out of the draft. The decision and its reason are audited; it
    lapses when the image that it is based on arrives with another content.

    Raises:
        NotFound: there is no such study, or no such image in it.
        InvalidTransition: the study has no patient conflict, or the reason is empty.
        NotAChestStudy, InstanceMissing, UnreadableInstance: the remaining images may not be drafted.
    """
    _check_reason(reason)
    with context.database.transaction() as session:
        study = _locked_study(session, study_instance_uid)
        images = [one for one in contents_of(session, study.id).here if not one.is_document]
        here = {one.sop_instance_uid: one.sha256 for one in images}
        if sop_instance_uid not in here:
            raise NotFound("the study has no such image, or its file was purged")
        if study.conflict != gate.PATIENT_CONFLICT:
            raise InvalidTransition("the study has no patient conflict to resolve")
        study.patient_content = here[sop_instance_uid]
        _record_decision(session, study, "patient", reason, actor)
        newest = select(Job.id).where(Job.study_id == study.id, Job.kind == "draft")
        job_id = session.scalars(newest.order_by(Job.revision.desc()).limit(1)).one()
        study_id, state = study.id, session.get_one(Job, job_id).state
    # A study that is still arriving is judged with this decision once it is quiet.
    if state == JobState.RECEIVING.value:
        return JobState.RECEIVING
    return _draft_again(context, study_id, job_id, actor=actor)


def accept_newest(context: OperatorContext, study_instance_uid: str, *, reason: str, actor: str) -> None:
    """End a study's instance conflict by a person's decision: the newest content of each image is right.

    The draft was made from it; nothing is drafted again. The decision and its reason are audited.

    Raises:
        NotFound: there is no such study.
        InvalidTransition: the study has no instance conflict, or the reason is empty.
    """
    _check_reason(reason)
    with context.database.transaction() as session:
        study = _locked_study(session, study_instance_uid)
        if study.conflict != gate.INSTANCE_CONFLICT:
            raise InvalidTransition("the study has no instance conflict to resolve")
        study.conflict = None
        _record_decision(session, study, "instance", reason, actor)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidTransition("a decision needs a reason, which is audited")


def _locked_study(session: Session, study_instance_uid: str) -> Study:
    study = session.scalar(
        select(Study).where(Study.study_instance_uid == study_instance_uid).with_for_update()
    )
    if study is None:
        raise NotFound("there is no such study")
    return study


def _record_decision(session: Session, study: Study, kind: str, reason: str, actor: str) -> None:
    event = Event(
        action=Action.RESOLVED,
        actor=actor,
        study_id=study.id,
        details={"kind": kind, "reason": reason.strip()[:LONGEST_REASON]},
    )
    record(session, event)


def _draft_again(context: OperatorContext, study_id: int, job_id: int, *, actor: str) -> JobState:
    """Judge a study and queue its stopped job; repeat if an image arrives meanwhile."""
    for last in (False, False, True):
        judgement = gate.judge(context.database, context.store, context.settings, study_id)
        try:
            with context.database.transaction() as session:
                now = database_now(session)
                study = session.get_one(Study, study_id, with_for_update=True)
                job = _locked(session, job_id)
                to = gate.enter(
                    session, study, job, judgement, now=now, actor=actor, code="retry", reason=BY_A_PERSON
                )
                job.attempts, job.run_after = 0, now
                return to
        except StudyChanged:
            if last:
                raise
    raise AssertionError("the last attempt either returns or raises")


def _send_again(
    context: OperatorContext, session: Session, job: Job, *, now: datetime, actor: str
) -> JobState:
    """Send the documents of a stopped job to the destinations that may receive them now."""
    if is_withdrawn(session, job.id):
        raise DraftWithdrawn("the draft names a patient who is no longer the study's: it is not sent again")
    conflict = session.scalar(select(Study.conflict).where(Study.id == job.study_id))
    if conflict == gate.PATIENT_CONFLICT and job.kind == "draft":
        raise PatientConflict("the images of the study name different patients: resolve that first")
    if _ask_again(session, job.id, now=now) and job.state == JobState.DELIVERED.value:
        return JobState.DELIVERED
    check_job_step(job.state, JobState.DELIVERING)
    revived, refused = _revive(session, job, context.settings, now=now)
    if refused and not revived:
        raise DemonstrationModelRefused(
            f"job {job.id}: its destinations may not receive drafts of a demonstration model"
        )
    if not revived:
        raise InvalidTransition(f"job {job.id} has nothing to send again")
    move(session, job, JobState.DELIVERING, now=now, code="retry", reason=BY_A_PERSON, actor=actor)
    return JobState.DELIVERING


def cancel(database: Database, job_id: int, *, reason: str, actor: str) -> None:
    """Stop a job and its unsent documents; what a PACS has already received stays there.

    Raises:
        InvalidTransition: there is no such job, or it has already ended.
    """
    with database.transaction() as session:
        cancel_in(session, job_id, reason=reason, actor=actor)


def cancel_in(session: Session, job_id: int, *, reason: str, actor: str) -> None:
    """Do what `cancel` does inside the caller's transaction.

    Raises:
        InvalidTransition: there is no such job, or it has already ended.
    """
    now = database_now(session)
    job = _locked(session, job_id)
    move(session, job, JobState.CANCELED, now=now, code="canceled", reason=reason, actor=actor)
    _cancel_open(session, job_id, now=now)


def prioritise(database: Database, job_id: int, priority: int) -> None:
    """Set a job's and its deliveries' priority; smaller runs first (0 STAT, 50 routine).

    Raises:
        InvalidTransition: there is no such job.
    """
    with database.transaction() as session:
        prioritise_in(session, job_id, priority)


def prioritise_in(session: Session, job_id: int, priority: int) -> None:
    """Do what `prioritise` does inside the caller's transaction.

    Raises:
        InvalidTransition: there is no such job.
    """
    job = _locked(session, job_id)
    set_priority(job, priority)
    session.execute(
        update(Delivery)
        .where(Delivery.job_id == job_id)
        .values(priority=priority)
        .execution_options(synchronize_session=False)
    )


def _revive(session: Session, job: Job, settings: Settings, *, now: datetime) -> tuple[int, int]:
    """Make a job's dead and canceled deliveries pending again, where their destination may receive them.

    Return their number, and the number that may not be sent.
    """
    stopped = (
        select(Delivery, Draft.demonstration)
        .join(Document, Document.id == Delivery.document_id)
        .join(Draft, Draft.id == Document.draft_id)
        .where(
            Delivery.job_id == job.id,
            Delivery.state.in_((DeliveryState.DEAD.value, DeliveryState.CANCELED.value)),
        )
    )
    destinations = {one.name: one for one in settings.destinations}
    revived = refused = 0
    for delivery, demonstration in session.execute(stopped).all():
        destination = destinations.get(delivery.destination)
        if was_overtaken(session, delivery):
            refused += 1
            continue
        if destination is not None and gate.refused_destination(
            demonstration=demonstration, destination=destination, settings=settings
        ):
            refused += 1
            continue
        set_state(delivery, DeliveryState.PENDING, now)
        delivery.attempts, delivery.losses, delivery.run_after = 0, 0, now
        delivery.give_up_at = now + timedelta(seconds=settings.delivery.give_up_after_s)
        revived += 1
    notify(session, DELIVERIES)
    return revived, refused


def _cancel_open(session: Session, job_id: int, *, now: datetime) -> None:
    """Cancel a job's unsent documents; a document that is being sent loses its lease."""
    unsent = select(Delivery).where(
        Delivery.job_id == job_id, Delivery.state.in_([state.value for state in UNSENT])
    )
    for delivery in session.scalars(unsent):
        set_state(delivery, DeliveryState.CANCELED, now)


def _locked(session: Session, job_id: int) -> Job:
    job = session.scalar(select(Job).where(Job.id == job_id).with_for_update())
    if job is None:
        raise InvalidTransition(f"there is no job {job_id}")
    return job


def _ask_again(session: Session, job_id: int, *, now: datetime) -> int:
    """Schedule new commitment requests for a job's uncommitted documents; return how many."""
    rows = session.scalars(
        select(Delivery).where(Delivery.job_id == job_id, Delivery.state == DeliveryState.UNCOMMITTED.value)
    ).all()
    for delivery in rows:
        set_state(delivery, DeliveryState.STORED, now)
        delivery.commitment_uid, delivery.commit_at, delivery.commit_attempts = None, now, 0
    return len(rows)

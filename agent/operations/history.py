"""Queries of an operator: lists of jobs, one job's history, one study's whole history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.database.states import JobState
from agent.database.tables import Delivery, Document, Draft, Instance, Job, JobEvent, Study
from agent.foundation.errors import NotFound
from agent.operations.stopped import needs_a_person


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job in a list."""

    job_id: int
    study_instance_uid: str
    revision: int
    state: str
    priority: int
    attempts: int
    code: str | None
    reason: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transition of a job."""

    at: datetime
    from_state: str | None
    to_state: str
    code: str | None
    reason: str | None
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """The delivery of one document to one destination."""

    destination: str
    role: str
    sop_instance_uid: str
    state: str
    attempts: int
    code: str | None
    reason: str | None
    run_after: datetime
    stored_at: datetime | None
    committed_at: datetime | None
    losses: int
    # The warning status that it was stored with.
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """Everything about one job; `text` is its draft, if it has one."""

    job: JobLine
    steps: Sequence[Step]
    text: str | None
    model_name: str | None
    # The draft's flags, and each eligible image with the reason if it was not read.
    flags: Sequence[str]
    images: Sequence[Mapping[str, Any]]
    deliveries: Sequence[DeliveryLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLine:
    """One received instance."""

    sop_instance_uid: str
    modality: str
    view_position: str
    revision: int
    size_bytes: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHistory:
    """Everything about one study; holds no attribute of the patient."""

    study_instance_uid: str
    revision: int
    conflict: str | None
    calling_ae_title: str
    instances: Sequence[InstanceLine]
    jobs: Sequence[JobHistory]


def list_jobs(
    database: Database,
    *,
    state: JobState | None,
    limit: int,
    code: str | None = None,
    for_a_person: bool = False,
) -> tuple[JobLine, ...]:
    """Return the newest jobs, optionally with one state and one code.

    for_a_person: leave out stopped jobs that a later revision of their study has replaced.
    """
    with database.reading() as session:
        chosen = select(Job, Study.study_instance_uid).join(Study, Study.id == Job.study_id)
        if state is not None:
            chosen = chosen.where(Job.state == state.value)
        if code is not None:
            chosen = chosen.where(Job.code == code)
        if for_a_person:
            chosen = chosen.where(needs_a_person())
        rows = session.execute(chosen.order_by(Job.updated_at.desc()).limit(limit))
        return tuple(_line(job, study_instance_uid) for job, study_instance_uid in rows)


def job_history(database: Database, job_id: int) -> JobHistory:
    """Return everything about one job.

    Raises:
        NotFound: there is no such job.
    """
    with database.reading() as session:
        job = session.get(Job, job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id}; `echo-agent queue list` lists them")
        return _history(session, job, session.get_one(Study, job.study_id).study_instance_uid)


def study_history(database: Database, study_instance_uid: str) -> StudyHistory:
    """Return everything about one study.

    Raises:
        NotFound: no image of this study was received.
    """
    with database.reading() as session:
        study = session.scalar(select(Study).where(Study.study_instance_uid == study_instance_uid))
        if study is None:
            raise NotFound(
                f"no study {study_instance_uid} was received: is the sender's destination this agent?"
            )
        instances = session.scalars(
            select(Instance).where(Instance.study_id == study.id).order_by(Instance.id)
        )
        jobs = session.scalars(select(Job).where(Job.study_id == study.id).order_by(Job.revision, Job.id))
        return StudyHistory(
            study_instance_uid=study_instance_uid,
            revision=study.revision,
            conflict=study.conflict,
            calling_ae_title=study.calling_ae_title,
            instances=tuple(_instance(instance) for instance in instances),
            jobs=tuple(_history(session, job, study_instance_uid) for job in jobs),
        )


def _line(job: Job, study_instance_uid: str) -> JobLine:
    return JobLine(
        job_id=job.id,
        study_instance_uid=study_instance_uid,
        revision=job.revision,
        state=job.state,
        priority=job.priority,
        attempts=job.attempts,
        code=job.code,
        reason=job.reason,
        updated_at=job.updated_at,
    )


def _history(session: Session, job: Job, study_instance_uid: str) -> JobHistory:
    events = session.scalars(select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id))
    draft = session.scalar(select(Draft).where(Draft.job_id == job.id).order_by(Draft.id.desc()).limit(1))
    sent = session.execute(
        select(Delivery, Document)
        .join(Document, Document.id == Delivery.document_id)
        .where(Delivery.job_id == job.id)
        .order_by(Delivery.destination, Document.role)
    )
    return JobHistory(
        job=_line(job, study_instance_uid),
        steps=tuple(
            Step(
                at=event.at,
                from_state=event.from_state,
                to_state=event.to_state,
                code=event.code,
                reason=event.reason,
                actor=event.actor,
            )
            for event in events
        ),
        text=None if draft is None else draft.text,
        model_name=None if draft is None else draft.model_name,
        flags=() if draft is None else tuple(flag["text"] for flag in draft.content.get("flags", ())),
        images=() if draft is None else tuple(draft.content.get("images", ())),
        deliveries=tuple(_delivery(delivery, document) for delivery, document in sent),
    )


def _delivery(delivery: Delivery, document: Document) -> DeliveryLine:
    return DeliveryLine(
        destination=delivery.destination,
        role=document.role,
        sop_instance_uid=document.sop_instance_uid,
        state=delivery.state,
        attempts=delivery.attempts,
        code=delivery.code,
        reason=delivery.reason,
        run_after=delivery.run_after,
        stored_at=delivery.stored_at,
        committed_at=delivery.committed_at,
        losses=delivery.losses,
        warning=delivery.warning,
    )


def _instance(instance: Instance) -> InstanceLine:
    return InstanceLine(
        sop_instance_uid=instance.sop_instance_uid,
        modality=instance.modality,
        view_position=instance.view_position,
        revision=instance.revision,
        size_bytes=instance.size_bytes,
        received_at=instance.received_at,
    )

"""Rows for tests of the queue and of the outbox, made by the service's own functions where possible."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Document, Draft, Job, Study
from agent.queue import deliveries, jobs
from agent.queue.states import move


def enter(session: Session, uid: str, *, priority: int = 50, state: JobState = JobState.QUEUED) -> Job:
    """A study with one job, which is RECEIVING or one step further."""
    now = database_now(session)
    study = Study(study_instance_uid=uid, first_received_at=now, last_received_at=now)
    session.add(study)
    session.flush()
    job = jobs.enqueue(session, study, now=now, revision=1, priority=priority)
    assert job is not None
    if state is not JobState.RECEIVING:
        move(session, job, state, now=now, admitted=state is JobState.QUEUED)
    return job


def draft_of(session: Session, job: Job, *, at: datetime, **values: Any) -> Draft:
    """A draft of a job."""
    draft = Draft(
        study_id=job.study_id,
        job_id=job.id,
        revision=1,
        model_digest="m",
        model_name="m",
        demonstration=False,
        text="t",
        content={},
        created_at=at,
        **values,
    )
    session.add(draft)
    session.flush()
    return draft


def document_of(session: Session, draft: Draft, sop_instance_uid: str, **values: Any) -> Document:
    """A document of a draft: a report, unless the values say otherwise."""
    defaults = {"role": "report", "sop_class_uid": "1.2", "series_instance_uid": "1.2", "content": b"bytes"}
    document = Document(
        draft_id=draft.id,
        variant="v",
        sop_instance_uid=sop_instance_uid,
        sha256="0",
        **(defaults | values),
    )
    session.add(document)
    session.flush()
    return document


def drafted(database: Database, number: int, destinations: tuple[str, ...] = ("a",)) -> int:
    """A drafted job with one document to each destination; return its id."""
    with database.transaction() as session:
        enter(session, f"1.2.{number}")
    (claim,) = jobs.claim(database, "w", 60, 1)
    with database.transaction() as session:
        now = database_now(session)
        job = jobs.finish(session, claim, now=now)
        draft = draft_of(session, job, at=now - timedelta(seconds=2), waited_s=5.0)
        document = document_of(session, draft, f"1.2.{number}.9")
        for name in destinations:
            deliveries.add(session, document, job, name, now=now, give_up_after_s=3600, priority=50)
        return job.id

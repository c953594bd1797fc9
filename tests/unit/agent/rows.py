"""Database rows for tests: a study, its job in any state, a draft, a delivery."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import Delivery, Document, Draft, Job, JobEvent, Study


def add_study(session: Session, uid: str, *, at: datetime) -> Study:
    """Add a study whose last image arrived at `at`."""
    study = Study(study_instance_uid=uid, first_received_at=at, last_received_at=at)
    session.add(study)
    session.flush()
    return study


def add_job(session: Session, study: Study, state: str, *, at: datetime, **values: Any) -> Job:
    """Add a job that has been in its state since `at`, with one step of history."""
    job = Job(
        idempotency_key=f"draft|{study.study_instance_uid}|1|-",
        study_id=study.id,
        revision=1,
        state=state,
        run_after=at,
        created_at=at,
        updated_at=at,
        **values,
    )
    session.add(job)
    session.flush()
    session.add(JobEvent(job_id=job.id, at=at, from_state=None, to_state=state, actor="test"))
    return job


def add_draft(
    session: Session, job: Job, *, at: datetime, stored_after_s: float | None, **values: Any
) -> Draft:
    """Add a draft with one document, and its delivery: STORED after some time, or still PENDING."""
    waited_s = (at - session.get_one(Study, job.study_id).last_received_at).total_seconds()
    draft = Draft(
        study_id=job.study_id,
        job_id=job.id,
        revision=1,
        model_digest="d" * 64,
        model_name="test model",
        demonstration=True,
        text="Findings: none.",
        content=values.pop("content", {}),
        waited_s=waited_s,
        delivered_s=None if stored_after_s is None else waited_s + stored_after_s,
        created_at=at,
    )
    session.add(draft)
    session.flush()
    document = Document(
        draft_id=draft.id,
        role="report",
        variant="comprehensive3d",
        sop_class_uid="1.2.3",
        sop_instance_uid=f"2.25.{draft.id}",
        series_instance_uid=f"2.25.1{draft.id}",
        sha256="0" * 64,
        content=b"x",
    )
    session.add(document)
    session.flush()
    stored = stored_after_s is not None
    session.add(
        Delivery(
            document_id=document.id,
            job_id=job.id,
            destination="pacs",
            state=values.pop("delivery_state", "STORED" if stored else "PENDING"),
            run_after=at,
            give_up_at=at + timedelta(days=1),
            created_at=at,
            updated_at=at,
            stored_at=at + timedelta(seconds=stored_after_s) if stored_after_s is not None else None,
            **values,
        )
    )
    session.flush()
    return draft


def now_of(database: Database) -> datetime:
    """Return the database's time."""
    with database.reading() as session:
        return database_now(session)

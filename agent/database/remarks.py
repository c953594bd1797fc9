"""Remarks in the history of a job, which do not change its state."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from agent.database.tables import Job, JobEvent


def remark(session: Session, job: Job, *, code: str, reason: str, actor: str, at: datetime) -> None:
    """Add a remark to the history of a job, which `study show` prints."""
    session.add(
        JobEvent(
            job_id=job.id,
            at=at,
            from_state=job.state,
            to_state=job.state,
            code=code,
            reason=reason,
            actor=actor,
        )
    )

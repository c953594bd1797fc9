"""The audit record as a list, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from agent.database.audit.record import Action
from agent.database.session import Database, database_now
from agent.database.tables import AuditEvent, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One event; holds no attribute of the patient."""

    at: datetime
    action: str
    succeeded: bool
    actor: str
    address: str
    study_instance_uid: str | None
    details: Mapping[str, Any]


def list_events(
    database: Database, *, days: float, action: Action | None, failed: bool, limit: int
) -> tuple[AuditLine, ...]:
    """Return the newest events of the last days, with one action or with any.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        since = database_now(session) - timedelta(days=days)
        chosen = (
            select(AuditEvent, Study.study_instance_uid)
            .outerjoin(Study, Study.id == AuditEvent.study_id)
            .where(AuditEvent.at >= since)
            .order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
            .limit(limit)
        )
        if action is not None:
            chosen = chosen.where(AuditEvent.action == action.value)
        if failed:
            chosen = chosen.where(AuditEvent.succeeded.is_(False))
        return tuple(
            AuditLine(
                at=event.at,
                action=event.action,
                succeeded=event.succeeded,
                actor=event.actor,
                address=event.address,
                study_instance_uid=uid,
                details=dict(event.details),
            )
            for event, uid in session.execute(chosen)
        )

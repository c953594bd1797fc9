"""Audit events of the worklist: recorded before anything is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database
from agent.database.tables import AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The user's name, and the address that the request came from."""

    name: str
    address: str


def record_action(
    database: Database,
    actor: Actor,
    action: str,
    *,
    study_id: int | None = None,
    succeeded: bool = True,
    **details: Any,
) -> None:
    """Write one event in a transaction of its own.

    Raises:
        DatabaseUnavailable: nothing was written; the page must not be shown.
    """
    with database.transaction() as session:
        add_action(session, actor, action, study_id=study_id, succeeded=succeeded, details=details)


def add_action(
    session: Session,
    actor: Actor,
    action: str,
    *,
    study_id: int | None = None,
    succeeded: bool = True,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write one event inside the caller's transaction."""
    record(
        session,
        Event(
            action=Action(action),
            actor=actor.name[:128],
            address=actor.address[:64],
            succeeded=succeeded,
            study_id=study_id,
            details=dict(details or {}),
        ),
    )


def latest(database: Database, limit: int = 200) -> tuple[AuditEvent, ...]:
    """Return the newest events, for the administrator's page."""
    with database.reading() as session:
        return tuple(session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)))

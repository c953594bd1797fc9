"""How many audit messages each destination has not received yet."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.tables import AuditCursor, AuditEvent
from agent.foundation.settings.tree import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBacklog:
    """Events that a destination has not received, and the code of its last failure, if it failed."""

    waiting: int
    code: str | None


def read_backlogs(session: Session, settings: Settings) -> dict[str, AuditBacklog]:
    """Return the backlog of each audit destination in the settings, reading only two rows."""
    audit = settings.audit
    names = [name for name, given in (("file", audit.file), ("syslog", audit.syslog)) if given is not None]
    if not names:
        return {}
    newest = session.execute(select(func.max(AuditEvent.id))).scalar() or 0
    cursors = {one.sink: one for one in session.scalars(select(AuditCursor))}
    return {
        name: AuditBacklog(
            waiting=max(0, newest - (cursors[name].last_id if name in cursors else 0)),
            code=cursors[name].code if name in cursors else None,
        )
        for name in names
    }

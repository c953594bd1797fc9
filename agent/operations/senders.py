"""Senders, their volume, and what the listener refused: read from the audit record.

A PACS whose images are refused receives a DIMSE status or a rejection, but its administrator may notice weeks
later. `status` therefore reports recent refusals, with what to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action
from agent.database.session import Database, database_now
from agent.database.tables import AuditEvent, Instance, Study

# Most events that `status` reads, newest first: a bound for a busy day.
EVENTS_READ = 20_000
LIST_CAP = 2_000
# An association was refused, or cut; a failure status answered one object.
_ASSOCIATIONS = (Action.REFUSED.value, Action.FAULT.value)
_AT_THE_DOOR = (*_ASSOCIATIONS, Action.NOT_TAKEN.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderRefusal:
    """Refusals of one sender for one reason; with the proposal, if that was the reason."""

    ae_title: str
    called_ae_title: str
    address: str
    reason_code: str
    count: int
    last_at: datetime
    sop_classes: Sequence[str] = ()
    syntaxes: Sequence[str] = ()
    # Empty for the listener; `hl7` or `ups` for the ports of these.
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One AE title at one address, with what it did since the beginning of the time span."""

    ae_title: str
    address: str
    associations: int
    objects: int
    refused: int
    last_at: datetime
    refusals: Sequence[SenderRefusal] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """Return all senders since `since`; `bytes_by_title`: stored bytes by calling AE title."""

    since: datetime
    senders: Sequence[Sender]
    bytes_by_title: dict[str, int]


def read_refusals(
    session: Session, since: datetime, actions: Sequence[str] = _ASSOCIATIONS
) -> tuple[SenderRefusal, ...]:
    """Return the refusals since then, the latest first: of associations, or with these `actions`."""
    recent = (
        select(AuditEvent)
        .where(AuditEvent.at >= since)
        .order_by(AuditEvent.at.desc())
        .limit(EVENTS_READ)
        .subquery()
    )
    chosen = (
        select(recent.c.at, recent.c.actor, recent.c.address, recent.c.details)
        .where(recent.c.action.in_(actions))
        .order_by(recent.c.at.desc())
        .limit(LIST_CAP)
    )
    return _merged(session.execute(chosen))


def read_senders(database: Database, *, days: float) -> Senders:
    """Return the senders of the last days.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    counted = func.coalesce(AuditEvent.details["count"].as_integer(), 1)
    with database.reading() as session:
        since = database_now(session) - timedelta(days=days)
        refusals = read_refusals(session, since, _AT_THE_DOOR)
        rows = session.execute(
            select(
                AuditEvent.actor,
                AuditEvent.address,
                AuditEvent.action,
                func.sum(counted),
                func.max(AuditEvent.at),
            )
            .where(
                AuditEvent.at >= since,
                AuditEvent.action.in_([Action.ASSOCIATION.value, Action.RECEIVED.value, *_AT_THE_DOOR]),
                AuditEvent.address != "",
            )
            .group_by(AuditEvent.actor, AuditEvent.address, AuditEvent.action)
            .limit(LIST_CAP)
        ).all()
        sizes = session.execute(
            select(Study.calling_ae_title, func.sum(Instance.size_bytes))
            .join(Study, Study.id == Instance.study_id)
            .where(Instance.received_at >= since)
            .group_by(Study.calling_ae_title)
        )
        return Senders(
            since=since,
            senders=_senders([tuple(row) for row in rows], refusals),
            bytes_by_title={title: int(size) for title, size in sizes},
        )


def _senders(rows: Iterable[tuple[Any, ...]], refusals: Sequence[SenderRefusal]) -> tuple[Sender, ...]:
    found: dict[tuple[str, str], dict[str, tuple[int, datetime]]] = {}
    for actor, address, action, count, last_at in rows:
        found.setdefault((actor, address), {})[action] = (int(count), last_at)
    senders = [
        Sender(
            ae_title=title,
            address=address,
            associations=did.get(Action.ASSOCIATION.value, (0, None))[0],
            objects=did.get(Action.RECEIVED.value, (0, None))[0],
            refused=sum(count for action, (count, _) in did.items() if action in _AT_THE_DOOR),
            last_at=max(last_at for _, last_at in did.values()),
            refusals=tuple(one for one in refusals if (one.ae_title, one.address) == (title, address)),
        )
        for (title, address), did in found.items()
    ]
    return tuple(sorted(senders, key=lambda one: one.last_at, reverse=True))


def _merged(rows: Iterable[Any]) -> tuple[SenderRefusal, ...]:
    """Return one refusal for each sender and reason."""
    found: dict[tuple[str, ...], SenderRefusal] = {}
    for at, actor, address, details in rows:
        reason_code = str(details.get("reason_code") or details.get("code") or "")
        if not reason_code or not address:
            continue  # of no sender
        called = str(details.get("called") or "")
        role = str(details.get("role") or "")
        key = (actor, called, address, reason_code, role)
        before = found.get(key)
        count = int(details.get("count") or 1)
        found[key] = SenderRefusal(
            ae_title=actor,
            called_ae_title=called,
            address=address,
            reason_code=reason_code,
            count=count + (before.count if before else 0),
            last_at=before.last_at if before else at,
            sop_classes=_united(before.sop_classes if before else (), details.get("sop_classes")),
            syntaxes=_united(before.syntaxes if before else (), details.get("syntaxes")),
            role=role,
        )
    return tuple(found.values())


def _united(first: Sequence[str], more: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *(str(one) for one in more or ())]))

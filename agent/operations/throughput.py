"""The number of studies that reached each state in a time span, counted in the history of the jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from agent.database.states import JobState
from agent.database.tables import JobEvent

# Most transitions that are read, newest first: more than a day of a busy hospital has.
STEPS_READ = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Revisions of studies that reached a state within the time span."""

    received: int
    skipped: int
    drafted: int
    delivered: int
    failed: int
    dead: int


_FIELDS = {
    "received": JobState.RECEIVING,
    "skipped": JobState.SKIPPED,
    "drafted": JobState.DRAFTED,
    "delivered": JobState.DELIVERED,
    "failed": JobState.FAILED,
    "dead": JobState.DEAD,
}


def read_throughput(session: Session, *, hour: datetime, day: datetime) -> tuple[Throughput, Throughput]:
    """Return the counts since `hour` and since `day`; `day` is the earlier moment."""
    recent = (
        select(JobEvent.at, JobEvent.to_state)
        .where(JobEvent.at >= day)
        .order_by(JobEvent.at.desc())
        .limit(STEPS_READ)
        .subquery()
    )
    within = func.sum(case((recent.c.at >= hour, 1), else_=0))
    rows = session.execute(select(recent.c.to_state, within, func.count()).group_by(recent.c.to_state)).all()
    return _made({state: count for state, count, _ in rows}), _made(
        {state: count for state, _, count in rows}
    )


def _made(counts: dict[Any, int]) -> Throughput:
    return Throughput(**{name: int(counts.get(state.value, 0)) for name, state in _FIELDS.items()})

"""After the database's clock was set back: times that lie further ahead than any wait are brought forward.

Whatever waits in the database waits until a wall-clock time. After a step back by an hour, each quiet study,
each retry and each lease of a dead process would wait an hour longer. No wait is longer than its setting, so
a time beyond that is the trace of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from agent.database.session import Database, database_now
from agent.database.states import DeliveryState, JobState
from agent.database.tables import Delivery, Job
from agent.foundation.settings.tree import Settings

# Differences below this (s) are the ordinary correction of a clock, and the time that a transaction takes.
_SLACK_S = 2.0
# How long (s) the listener holds a study open whose association is still sending, at most.
_LONGEST_HOLD_S = 6.0

Moment = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """A column that says until when rows of one state wait, and how long (s) they may."""

    table: type[Job] | type[Delivery]
    state: StrEnum
    until: Moment
    longest_s: float


def undo_clock_steps(database: Database, settings: Settings) -> int:
    """Bring forward what would wait longer than it may; return how many times were changed.

    Raises:
        DatabaseUnavailable: what was done before it is done.
    """
    return sum(_bring_forward(database, wait) for wait in _waits(settings))


def _waits(settings: Settings) -> Sequence[_Wait]:
    studies, worker, delivery, priors = (
        settings.studies,
        settings.worker,
        settings.delivery,
        settings.priors,
    )
    quiet_s = max(studies.quiet_time_s, studies.stat_quiet_time_s, _LONGEST_HOLD_S)
    retry_s = max(worker.longest_retry_s, priors.time_budget_s, priors.stat_time_budget_s)
    return (
        _Wait(table=Job, state=JobState.RECEIVING, until=Job.due_at, longest_s=quiet_s),
        _Wait(table=Job, state=JobState.RECEIVING, until=Job.force_at, longest_s=studies.force_after_s),
        _Wait(table=Job, state=JobState.QUEUED, until=Job.run_after, longest_s=retry_s),
        _Wait(table=Job, state=JobState.GENERATING, until=Job.lease_until, longest_s=worker.lease_s),
        _Wait(
            table=Delivery,
            state=DeliveryState.PENDING,
            until=Delivery.run_after,
            longest_s=delivery.longest_retry_s,
        ),
        _Wait(
            table=Delivery,
            state=DeliveryState.SENDING,
            until=Delivery.lease_until,
            longest_s=delivery.lease_s,
        ),
    )


def _bring_forward(database: Database, wait: _Wait) -> int:
    with database.reading() as session:
        longest = database_now(session) + timedelta(seconds=wait.longest_s)
        beyond = (
            wait.table.state == wait.state.value,
            wait.until > longest + timedelta(seconds=_SLACK_S),
        )
        found = session.scalars(select(wait.table.id).where(*beyond).limit(1)).first()
    if found is None:  # nearly always: no write lock is taken
        return 0
    with database.transaction() as session:
        changed = session.execute(
            update(wait.table)
            .where(*beyond)
            .values({wait.until.key: longest})
            .execution_options(synchronize_session=False)
            .returning(wait.table.id)
        )
        return len(changed.all())

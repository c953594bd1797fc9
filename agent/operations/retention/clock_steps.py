"""Corrects waits after the database's clock was set, so that each lasts as long as its setting says.

Every wait in the database ends at a wall-clock time. After a step back by an hour, each quiet study, each
retry and each lease of a dead process would wait an hour longer. No wait is longer than its setting, so a
time beyond that is the trace of a step, and is brought forward. A step forward ends waits early, which harms
only deliveries: see `agent.queue.forward_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import InstrumentedAttribute

from agent.database.session import Database, database_now
from agent.database.states import UNSENT, DeliveryState, JobState
from agent.database.tables import Delivery, Job, PriorSearch
from agent.foundation.settings.tree import Settings

# Differences below this (s) are ordinary clock corrections, or the duration of a transaction.
_SLACK_S = 2.0
# Longest time (s) for which the listener keeps a study open while its association is sending.
_LONGEST_HOLD_S = 6.0

Moment = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """A column that says until when some rows of a table wait, and how long (s) they may."""

    table: type[Job] | type[Delivery] | type[PriorSearch]
    rows: ColumnElement[bool]
    until: Moment
    longest_s: float


def undo_clock_steps(database: Database, settings: Settings) -> int:
    """Bring forward times that exceed the longest allowed wait; return how many were changed.

    Raises:
        DatabaseUnavailable: earlier changes are kept.
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
    search_s = max(priors.time_budget_s, priors.stat_time_budget_s)
    retry_s = max(worker.longest_retry_s, search_s)
    commit_s = max(
        (one.commitment_timeout_s + one.commitment_wait_s for one in settings.destinations), default=0
    )
    unsent = Delivery.state.in_([one.value for one in UNSENT])
    return (
        _Wait(table=Job, rows=Job.state == JobState.RECEIVING.value, until=Job.due_at, longest_s=quiet_s),
        _Wait(
            table=Job,
            rows=Job.state == JobState.RECEIVING.value,
            until=Job.force_at,
            longest_s=studies.force_after_s,
        ),
        _Wait(table=Job, rows=Job.state == JobState.QUEUED.value, until=Job.run_after, longest_s=retry_s),
        _Wait(
            table=Job,
            rows=Job.state == JobState.GENERATING.value,
            until=Job.lease_until,
            longest_s=worker.lease_s,
        ),
        _Wait(
            table=Delivery,
            rows=Delivery.state == DeliveryState.PENDING.value,
            until=Delivery.run_after,
            longest_s=delivery.longest_retry_s,
        ),
        _Wait(
            table=Delivery,
            rows=Delivery.state == DeliveryState.SENDING.value,
            until=Delivery.lease_until,
            longest_s=delivery.lease_s,
        ),
        _Wait(
            table=Delivery,
            rows=unsent | ((Delivery.state == DeliveryState.STORED.value) & Delivery.commit_at.is_not(None)),
            until=Delivery.give_up_at,
            longest_s=delivery.give_up_after_s,
        ),
        _Wait(
            table=Delivery,
            rows=Delivery.state == DeliveryState.STORED.value,
            until=Delivery.commit_at,
            longest_s=max(commit_s, delivery.longest_retry_s),
        ),
        _Wait(
            table=PriorSearch,
            rows=PriorSearch.ended_at.is_(None),
            until=PriorSearch.deadline,
            longest_s=search_s,
        ),
    )


def _bring_forward(database: Database, wait: _Wait) -> int:
    with database.reading() as session:
        longest = database_now(session) + timedelta(seconds=wait.longest_s)
        beyond = (
            wait.rows,
            wait.until > longest + timedelta(seconds=_SLACK_S),
        )
        found = session.scalars(select(wait.until).where(*beyond).limit(1)).first()
    if found is None:  # nearly always: no write lock is taken
        return 0
    with database.transaction() as session:
        changed = session.execute(
            update(wait.table)
            .where(*beyond)
            .values({wait.until.key: longest})
            .execution_options(synchronize_session=False)
            .returning(wait.until)
        )
        return len(changed.all())

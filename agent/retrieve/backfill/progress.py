"""The progress of the backfill: counts, rate and remaining time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.backfill import (
    OPEN_PULLS,
    OPEN_SLICES,
    BackfillControl,
    BackfillSlice,
    BackfillStudy,
    PullState,
)
from agent.database.session import Database, database_now
from agent.database.states import Lane
from agent.database.tables import Job
from agent.foundation.settings.backfill import BackfillSettings
from agent.retrieve.backfill.window import is_open, next_change, open_hours

_RATE_OVER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """slices, studies, jobs: counts by state; only jobs in the lane `backfill` count.

    per_minute: studies retrieved, over the last 15 minutes. hours_left: at the budgeted rate, including the
    hours outside the window; None before every day has been queried. codes: why studies were left out or
    failed, and why queries were not answered. window_changes_at: when the window opens or closes next.
    """

    stopped: bool
    window_open: bool
    window_changes_at: datetime | None
    slices: Mapping[str, int]
    studies: Mapping[str, int]
    jobs: Mapping[str, int]
    codes: Mapping[str, int]
    per_minute: float
    hours_left: float | None

    @property
    def open_slices(self) -> int:
        """Number of queries that are still to be made."""
        return sum(self.slices.get(state.value, 0) for state in OPEN_SLICES)

    @property
    def open_studies(self) -> int:
        """Number of studies that are still to be retrieved."""
        return sum(self.studies.get(state.value, 0) for state in OPEN_PULLS)

    @property
    def planned(self) -> bool:
        """Whether there is any plan."""
        return bool(self.slices)


def read_progress(database: Database, settings: BackfillSettings, *, now: datetime | None = None) -> Progress:
    """Read the progress of the backfill. now: for tests.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        moment = now or database_now(session)
        slices = _counts(session, BackfillSlice.state)
        studies = _counts(session, BackfillStudy.state)
        jobs = _counts(session, Job.state, Job.lane == Lane.BACKFILL.value)
        codes = Counter(_counts(session, BackfillStudy.code, BackfillStudy.code.is_not(None)))
        codes.update(_counts(session, BackfillSlice.code, BackfillSlice.code.is_not(None)))
        pulled = session.scalar(
            select(func.count(BackfillStudy.id)).where(
                BackfillStudy.updated_at >= moment - _RATE_OVER,
                BackfillStudy.state == PullState.PULLED.value,
            )
        )
        control = session.get(BackfillControl, 1)
    left = sum(studies.get(state.value, 0) for state in OPEN_PULLS)
    asked = not any(slices.get(state.value, 0) for state in OPEN_SLICES)
    return Progress(
        stopped=control is not None and control.stopped,
        window_open=is_open(settings.window, moment),
        window_changes_at=next_change(settings.window, moment),
        slices=slices,
        studies=studies,
        jobs=jobs,
        codes=dict(codes),
        per_minute=round((pulled or 0) / (_RATE_OVER.total_seconds() / 60), 2),
        hours_left=hours_for(left, settings, moment) if asked else None,
    )


def hours_for(studies: int, settings: BackfillSettings, now: datetime) -> float | None:
    """Return how many hours the budget needs for this many studies; None if the window never opens."""
    open_per_day = open_hours(settings.window, now)
    if open_per_day == 0:
        return None
    return round(studies / settings.studies_per_minute / 60 * 24 / open_per_day, 1)


def _counts(session: Session, column: object, *where: object) -> dict[str, int]:
    rows = session.execute(
        select(column, func.count()).where(*where).group_by(column)  # type: ignore[call-overload]
    )
    return {str(name): int(count) for name, count in rows}

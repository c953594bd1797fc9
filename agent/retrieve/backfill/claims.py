"""Claims on queries and retrievals, under leases and within the budget.

The budget is kept in the database, so that it holds across processes and restarts: every claim locks the
single row of `backfill_control`, and checks when the last one was made. A claim whose lease has expired is
made again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from agent.database.backfill import (
    PULL_STEPS,
    SLICE_STEPS,
    BackfillControl,
    BackfillSlice,
    BackfillStudy,
    PullState,
    SliceState,
    is_retrieving,
)
from agent.database.session import Database, database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Job, Study
from agent.foundation.errors import InvalidTransition, LeaseLost
from agent.foundation.settings.backfill import BackfillSettings
from agent.retrieve.backfill.slices import DateSlice
from agent.retrieve.backfill.window import is_open

# A lease outlasts the longest request by this (s).
_MARGIN_S = 60.0
_BEFORE_ITS_DRAFT = (JobState.RECEIVING, JobState.QUEUED, JobState.GENERATING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceClaim:
    """A query that this process may make; `attempts` counts this one."""

    slice_id: int
    token: str
    attempts: int
    dates: DateSlice


@dataclass(frozen=True, slots=True, kw_only=True)
class PullClaim:
    """A study that this process may retrieve; `attempts` counts this one."""

    row_id: int
    token: str
    attempts: int
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why nothing may be claimed now: stopped, closed (the window), others (urgent and routine jobs wait for
    a worker), budget, full, nothing, or done.

    seconds: when to check again.
    """

    why: str
    seconds: float


def claim_slice(
    database: Database, settings: BackfillSettings, *, now: datetime | None = None
) -> SliceClaim | Hold:
    """Take the next query by date, newest days first, if the budget allows it. now: for tests.

    Raises:
        DatabaseUnavailable: nothing was taken.
    """
    with database.transaction() as session:
        moment = now or database_now(session)
        hold = _held(session, settings, moment)
        if hold is not None:
            return hold
        wait_s = _pace(session, BackfillSlice, settings.queries_per_minute, moment)
        if wait_s > 0:
            return Hold(why="budget", seconds=wait_s)
        _reclaim(session, BackfillSlice, SliceState.ASKING, SliceState.OPEN, moment)
        row = session.scalar(
            select(BackfillSlice)
            .where(BackfillSlice.state == SliceState.OPEN.value, BackfillSlice.run_after <= moment)
            .order_by(BackfillSlice.id)
            .limit(1)
        )
        if row is None:
            return _nothing(session, BackfillSlice, (SliceState.OPEN, SliceState.ASKING), moment)
        _take(row, SliceState.ASKING, settings.retrieve_timeout_s, moment)
        return SliceClaim(
            slice_id=row.id, token=str(row.lease_token), attempts=row.attempts, dates=dates_of(row)
        )


def claim_study(
    database: Database, settings: BackfillSettings, *, now: datetime | None = None
) -> PullClaim | Hold:
    """Take the next study to be retrieved, if the budget allows it. now: for tests.

    Raises:
        DatabaseUnavailable: nothing was taken.
    """
    with database.transaction() as session:
        moment = now or database_now(session)
        hold = _held(session, settings, moment)
        if hold is not None:
            return hold
        _reclaim(session, BackfillStudy, PullState.PULLING, PullState.FOUND, moment)
        if _count(session, BackfillStudy, PullState.PULLING) >= settings.in_flight:
            return Hold(why="full", seconds=1.0)
        if _backlog(session, settings.backlog) >= settings.backlog:
            return Hold(why="full", seconds=5.0)
        wait_s = _pace(session, BackfillStudy, settings.studies_per_minute, moment)
        if wait_s > 0:
            return Hold(why="budget", seconds=wait_s)
        row = session.scalar(
            select(BackfillStudy)
            .where(BackfillStudy.state == PullState.FOUND.value, BackfillStudy.run_after <= moment)
            .order_by(BackfillStudy.run_after, BackfillStudy.id)
            .limit(1)
        )
        if row is None:
            return _nothing(session, BackfillStudy, (PullState.FOUND, PullState.PULLING), moment)
        _take(row, PullState.PULLING, settings.retrieve_timeout_s, moment)
        return PullClaim(
            row_id=row.id,
            token=str(row.lease_token),
            attempts=row.attempts,
            study_instance_uid=row.study_instance_uid,
        )


def end_slice(
    session: Session, claim: SliceClaim, to: SliceState, *, code: str | None = None
) -> BackfillSlice:
    """End a claim of a slice inside the caller's transaction, which also holds what was found.

    Raises:
        LeaseLost: another process makes the query now; the caller's transaction must be rolled back.
    """
    row = session.get_one(BackfillSlice, claim.slice_id, with_for_update=True, populate_existing=True)
    _end(session, row, claim.token, to, code)
    return row


def check_slice(session: Session, claim: SliceClaim) -> None:
    """Check that a claim of a slice still holds, inside the caller's transaction, which locks it.

    Raises:
        LeaseLost: another process makes the query now, or a person has dropped it.
    """
    row = session.get_one(BackfillSlice, claim.slice_id, with_for_update=True, populate_existing=True)
    _check_token(row, claim.token)


def end_study(session: Session, claim: PullClaim, to: PullState, *, code: str | None = None) -> BackfillStudy:
    """End a claim of a study inside the caller's transaction.

    Raises:
        LeaseLost: another process retrieves it now; the caller's transaction must be rolled back.
    """
    row = session.get_one(BackfillStudy, claim.row_id, with_for_update=True, populate_existing=True)
    _end(session, row, claim.token, to, code)
    return row


def postpone(
    row: BackfillSlice | BackfillStudy, settings: BackfillSettings, attempts: int, chance: Random
) -> None:
    """Let a row that has just ended be claimed again after a pause that grows with its attempts."""
    wait_s = settings.retry.wait_s(attempts, chance.random())
    row.run_after = row.updated_at + timedelta(seconds=wait_s)


def dates_of(row: BackfillSlice) -> DateSlice:
    """Return the query of a row."""
    whole = not row.from_time
    return DateSlice(
        since=datetime.strptime(row.since, "%Y%m%d").date(),
        until=datetime.strptime(row.until, "%Y%m%d").date(),
        modality=row.modality,
        first_minute=0 if whole else _minute(row.from_time),
        last_minute=24 * 60 - 1 if whole else _minute(row.to_time),
    )


def row_of(dates: DateSlice, now: datetime) -> BackfillSlice:
    """Return a new row for a query."""
    whole = dates.whole_days
    return BackfillSlice(
        since=f"{dates.since:%Y%m%d}",
        until=f"{dates.until:%Y%m%d}",
        from_time="" if whole else f"{dates.first_minute // 60:02}{dates.first_minute % 60:02}",
        to_time="" if whole else f"{dates.last_minute // 60:02}{dates.last_minute % 60:02}",
        modality=dates.modality,
        run_after=now,
        updated_at=now,
    )


def control(session: Session) -> BackfillControl:
    """Lock and return the row that every claim locks."""
    row = session.get(BackfillControl, 1, with_for_update=True)
    if row is None:
        row = BackfillControl(id=1, stopped=False)
        session.add(row)
        session.flush()
    return row


def _held(session: Session, settings: BackfillSettings, now: datetime) -> Hold | None:
    if control(session).stopped:
        return Hold(why="stopped", seconds=1.0)
    if not is_open(settings.window, now):
        return Hold(why="closed", seconds=15.0)
    if _others_wait(session, now):
        return Hold(why="others", seconds=1.0)
    return None


def _others_wait(session: Session, now: datetime) -> bool:
    """Whether urgent or routine jobs are due that no worker has taken yet."""
    waiting = select(Job.id).where(
        Job.state == JobState.QUEUED.value,
        Job.lane.in_([lane.value for lane in Lane if not lane.yields]),
        Job.run_after <= now,
    )
    return session.scalar(waiting.limit(1)) is not None


def _pace(
    session: Session, table: type[BackfillSlice] | type[BackfillStudy], per_minute: float, now: datetime
) -> float:
    """Return how long (s) to wait until the next request of this kind is due."""
    last: datetime | None = session.scalar(select(func.max(table.asked_at)))
    if last is None or last > now + timedelta(minutes=1):  # the database's clock was set back
        return 0.0
    return (last - now).total_seconds() + 60.0 / per_minute


def _backlog(session: Session, most: int) -> int:
    """Count the undrafted jobs of the lane, up to `most`.

    Partly retrieved studies whose retrieval is not complete do not count: otherwise they would block it.
    """
    part = (Job.state == JobState.RECEIVING.value) & is_retrieving(Study.study_instance_uid)
    waiting = (
        select(Job.id)
        .join(Study, Study.id == Job.study_id)
        .where(
            Job.state.in_([state.value for state in _BEFORE_ITS_DRAFT]),
            Job.lane == Lane.BACKFILL.value,
            ~part,
        )
        .limit(most)
        .subquery()
    )
    return session.scalar(select(func.count()).select_from(waiting)) or 0


def _count(session: Session, table: type[BackfillStudy], state: PullState) -> int:
    return session.scalar(select(func.count()).select_from(table).where(table.state == state.value)) or 0


def _reclaim(
    session: Session,
    table: type[BackfillSlice] | type[BackfillStudy],
    held: SliceState | PullState,
    to: SliceState | PullState,
    now: datetime,
) -> None:
    """Reclaim the rows of processes that were killed."""
    session.execute(
        update(table)
        .where(table.state == held.value, table.lease_until < now)
        .values(state=to.value, lease_token=None, lease_until=None, code="lease-expired", updated_at=now)
        .execution_options(synchronize_session=False)
    )


def _nothing(
    session: Session,
    table: type[BackfillSlice] | type[BackfillStudy],
    states: tuple[SliceState | PullState, ...],
    now: datetime,
) -> Hold:
    """Return when the next row in these states is due; `done` if there is none."""
    due: datetime | None = session.scalar(
        select(func.min(table.run_after)).where(table.state.in_([state.value for state in states]))
    )
    if due is None:
        return Hold(why="done", seconds=5.0)
    return Hold(why="nothing", seconds=min(max((due - now).total_seconds(), 1.0), 15.0))


def _take(
    row: BackfillSlice | BackfillStudy, to: SliceState | PullState, longest_s: float, now: datetime
) -> None:
    row.state = to.value
    row.attempts += 1
    row.lease_token = str(uuid.uuid4())
    row.lease_until = now + timedelta(seconds=longest_s + _MARGIN_S)
    row.asked_at = row.updated_at = now


def _end(
    session: Session,
    row: BackfillSlice | BackfillStudy,
    token: str,
    to: SliceState | PullState,
    code: str | None,
) -> None:
    _check_token(row, token)
    check_step(row.state, to)
    row.state, row.code = to.value, code
    row.lease_token = row.lease_until = None
    row.updated_at = database_now(session)


def _check_token(row: BackfillSlice | BackfillStudy, token: str) -> None:
    if row.lease_token != token:
        raise LeaseLost(f"row {row.id} of the backfill belongs to another process now")


def check_step(state: str, to: SliceState | PullState) -> None:
    """Check that a row may go from one state to another.

    Raises:
        InvalidTransition: it may not change so.
    """
    steps = SLICE_STEPS[SliceState(state)] if isinstance(to, SliceState) else PULL_STEPS[PullState(state)]
    if to not in steps:
        raise InvalidTransition(f"the backfill has no step from {state} to {to.value}")


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[2:])

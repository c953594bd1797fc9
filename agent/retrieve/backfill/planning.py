"""The plan of a backfill, stored as rows: made, reopened, stopped, dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from agent.database.backfill import (
    OPEN_PULLS,
    OPEN_SLICES,
    BackfillSlice,
    BackfillStudy,
    PullState,
    SliceState,
)
from agent.database.session import Database, database_now
from agent.foundation.settings.backfill import BackfillSettings
from agent.retrieve.backfill.claims import control, dates_of, row_of
from agent.retrieve.backfill.slices import DateSlice, cut, uncovered


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a plan adds: new queries, and ended ones (with their studies) that are reopened."""

    new: tuple[DateSlice, ...]
    opened_slices: int = 0
    opened_studies: int = 0


def new_slices(
    database: Database, settings: BackfillSettings, since: date, until: date
) -> tuple[DateSlice, ...]:
    """Return the queries that a range of days needs in addition to those already planned.

    Raises:
        DatabaseUnavailable: the database does not answer.
        ValueError: the range ends before it begins.
    """
    if until < since:
        raise ValueError("the range of days ends before it begins")
    with database.reading() as session:
        return tuple(_new(session, settings, since, until))


def make_plan(
    database: Database, settings: BackfillSettings, since: date, until: date, *, again: bool = False
) -> Plan:
    """Add the queries for a range of days (both included); days already planned are left alone.

    again: query those days again too, and retry what is DEAD, GONE or DROPPED. A study is never retrieved
    twice: it is recognised by its UID.

    Raises:
        DatabaseUnavailable: nothing was planned.
        ValueError: the range ends before it begins.
    """
    if until < since:
        raise ValueError("the range of days ends before it begins")
    with database.transaction() as session:
        control(session)
        now = database_now(session)
        slices = _new(session, settings, since, until)
        opened = studies = 0
        if again:
            here = (BackfillSlice.since <= f"{until:%Y%m%d}") & (BackfillSlice.until >= f"{since:%Y%m%d}")
            values = {"attempts": 0, "run_after": now, "code": None, "updated_at": now}
            ended = (SliceState.DONE, SliceState.DEAD, SliceState.DROPPED)
            of_these = BackfillStudy.slice_id.in_(select(BackfillSlice.id).where(here))
            again_too = (PullState.DEAD, PullState.GONE, PullState.DROPPED)
            studies = _set(session, BackfillStudy, again_too, PullState.FOUND, of_these, values)
            opened = _set(session, BackfillSlice, ended, SliceState.OPEN, here, values)
        session.add_all(row_of(one, now) for one in slices)
        return Plan(new=tuple(slices), opened_slices=opened, opened_studies=studies)


def stop(database: Database, *, drop: bool = False) -> int:
    """Make every process stop after its present retrieval; return how many open rows were dropped.

    drop: also give up all open queries and retrievals; parts of studies that have arrived are drafted.
    """
    with database.transaction() as session:
        control(session).stopped = True
        if not drop:
            return 0
        values = {"lease_token": None, "lease_until": None, "updated_at": database_now(session)}
        everything = BackfillSlice.id.is_not(None), BackfillStudy.id.is_not(None)
        slices = _set(session, BackfillSlice, OPEN_SLICES, SliceState.DROPPED, everything[0], values)
        return slices + _set(session, BackfillStudy, OPEN_PULLS, PullState.DROPPED, everything[1], values)


def go(database: Database) -> None:
    """Undo a stop."""
    with database.transaction() as session:
        control(session).stopped = False


def _new(session: Session, settings: BackfillSettings, since: date, until: date) -> list[DateSlice]:
    slices: list[DateSlice] = []
    for modality in settings.modalities:
        rows = session.scalars(select(BackfillSlice).where(BackfillSlice.modality == modality))
        covered = [(one.since, one.until) for one in map(dates_of, rows) if one.whole_days]
        for first, last in uncovered(since, until, covered):
            slices.extend(cut(first, last, [modality], settings.slice_days))
    # The newest days first, all modalities of a day together.
    return sorted(slices, key=lambda one: one.until, reverse=True)


def _set(
    session: Session,
    table: type[BackfillSlice] | type[BackfillStudy],
    of: Sequence[SliceState | PullState],
    to: SliceState | PullState,
    where: ColumnElement[bool],
    values: Mapping[str, object],
) -> int:
    changed = session.execute(
        update(table)
        .where(table.state.in_([state.value for state in of]), where)
        .values(state=to.value, **values)
        .execution_options(synchronize_session=False)
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]

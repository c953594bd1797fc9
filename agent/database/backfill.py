"""The tables of the backfill: the dates to query in the archive, and the result for each study found.

They contain no patient attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, ColumnElement, ForeignKey, Index, Integer, String, exists, select
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId
from agent.database.session import Database
from agent.database.states import Lane


class SliceState(StrEnum):
    """The state of one query by date."""

    OPEN = "OPEN"
    ASKING = "ASKING"
    DONE = "DONE"
    DIVIDED = "DIVIDED"
    DEAD = "DEAD"
    DROPPED = "DROPPED"


class PullState(StrEnum):
    """The state of one study of the archive."""

    FOUND = "FOUND"
    PULLING = "PULLING"
    PULLED = "PULLED"
    KNOWN = "KNOWN"  # it was here before: sent to us, or drafted
    SKIPPED = "SKIPPED"  # no image of it would be drafted, as far as the archive's attributes say
    GONE = "GONE"  # the archive no longer has a series of it
    DEAD = "DEAD"
    DROPPED = "DROPPED"


# The allowed steps; running a plan again reopens what had ended.
SLICE_STEPS: Mapping[SliceState, frozenset[SliceState]] = {
    SliceState.OPEN: frozenset({SliceState.ASKING, SliceState.DROPPED}),
    SliceState.ASKING: frozenset(
        {SliceState.OPEN, SliceState.DONE, SliceState.DIVIDED, SliceState.DEAD, SliceState.DROPPED}
    ),
    SliceState.DONE: frozenset({SliceState.OPEN}),
    SliceState.DIVIDED: frozenset(),
    SliceState.DEAD: frozenset({SliceState.OPEN}),
    SliceState.DROPPED: frozenset({SliceState.OPEN}),
}
PULL_STEPS: Mapping[PullState, frozenset[PullState]] = {
    PullState.FOUND: frozenset({PullState.PULLING, PullState.DROPPED}),
    PullState.PULLING: frozenset(
        {
            PullState.FOUND,
            PullState.PULLED,
            PullState.KNOWN,
            PullState.SKIPPED,
            PullState.GONE,
            PullState.DEAD,
            PullState.DROPPED,
        }
    ),
    PullState.PULLED: frozenset(),
    PullState.KNOWN: frozenset(),
    PullState.SKIPPED: frozenset(),
    PullState.GONE: frozenset({PullState.FOUND}),
    PullState.DEAD: frozenset({PullState.FOUND}),
    PullState.DROPPED: frozenset({PullState.FOUND}),
}
# The states in which there is still work to do.
OPEN_SLICES = (SliceState.OPEN, SliceState.ASKING)
OPEN_PULLS = (PullState.FOUND, PullState.PULLING)


class BackfillSlice(Base):
    """One query by date: a range of days, or a part of a divided day, and one modality."""

    __tablename__ = "backfill_slices"
    __table_args__ = (Index("ix_backfill_slices_state", "state", "run_after", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # DA values, both included; TM values (HHMM) if a day was divided, else empty.
    since: Mapped[str] = mapped_column(String(8))
    until: Mapped[str] = mapped_column(String(8))
    from_time: Mapped[str] = mapped_column(String(4), default="")
    to_time: Mapped[str] = mapped_column(String(4), default="")
    modality: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default=SliceState.OPEN.value)
    # Studies in the archive's last answer.
    answers: Mapped[int | None] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    run_after: Mapped[datetime]
    asked_at: Mapped[datetime | None] = mapped_column(index=True)
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    code: Mapped[str | None] = mapped_column(String(64))
    updated_at: Mapped[datetime]


class BackfillStudy(Base):
    """One study that the archive named."""

    __tablename__ = "backfill_studies"
    __table_args__ = (Index("ix_backfill_studies_state", "state", "run_after", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    slice_id: Mapped[int] = mapped_column(ForeignKey("backfill_slices.id"))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    run_after: Mapped[datetime]
    asked_at: Mapped[datetime | None] = mapped_column(index=True)
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    # Why it is in this state: a rule, or an error's code.
    code: Mapped[str | None] = mapped_column(String(64))
    updated_at: Mapped[datetime] = mapped_column(index=True)


class BackfillControl(Base):
    """A single row, which every claim locks: whether a person has stopped the backfill."""

    __tablename__ = "backfill_control"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    stopped: Mapped[bool] = mapped_column(Boolean, default=False)


def is_retrieving(study_instance_uid: Any) -> ColumnElement[bool]:
    """Return the condition that a study (its UID, or the column) is being retrieved as an old study.

    This includes the time between two attempts: some of its images may be here, and the rest may still come.
    """
    begun = (BackfillStudy.state == PullState.FOUND.value) & (BackfillStudy.attempts > 0)
    return exists(
        select(BackfillStudy.id).where(
            BackfillStudy.study_instance_uid == study_instance_uid,
            (BackfillStudy.state == PullState.PULLING.value) | begun,
        )
    )


def is_given_up(study_instance_uid: Any) -> ColumnElement[bool]:
    """Return the condition that an old study's retrieval was given up, so that images may be missing."""
    given_up = [PullState.DEAD.value, PullState.DROPPED.value]
    return exists(
        select(BackfillStudy.id).where(
            BackfillStudy.study_instance_uid == study_instance_uid, BackfillStudy.state.in_(given_up)
        )
    )


def lane_of(database: Database, study_instance_uid: str) -> Lane | None:
    """Return the lane of a file of unknown sender: `backfill` while its study is being retrieved for that
    lane.
    """
    with database.reading() as session:
        return Lane.BACKFILL if session.scalar(select(is_retrieving(study_instance_uid))) else None

"""The progress of the backfill, for the status; `echo-agent backfill status` shows more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.backfill import (
    OPEN_PULLS,
    OPEN_SLICES,
    BackfillControl,
    BackfillSlice,
    BackfillStudy,
    PullState,
    SliceState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillCounts:
    """Queries by date and studies of the archive, by state; `stopped`: by a person."""

    queries: Mapping[str, int]
    studies: Mapping[str, int]
    stopped: bool

    @property
    def open(self) -> int:
        """Queries that are still to be made, and studies that are still to be retrieved."""
        slices = sum(self.queries.get(state.value, 0) for state in OPEN_SLICES)
        return slices + sum(self.studies.get(state.value, 0) for state in OPEN_PULLS)

    @property
    def dead(self) -> int:
        """Queries and studies that were given up after all attempts."""
        return self.queries.get(SliceState.DEAD.value, 0) + self.studies.get(PullState.DEAD.value, 0)


def read_backfill(session: Session) -> BackfillCounts | None:
    """Return the counts; None if nothing was ever planned.

    Only the indexes of the states are read.
    """
    queries = session.execute(select(BackfillSlice.state, func.count()).group_by(BackfillSlice.state)).all()
    if not queries:
        return None
    studies = session.execute(select(BackfillStudy.state, func.count()).group_by(BackfillStudy.state)).all()
    control = session.get(BackfillControl, 1)
    return BackfillCounts(
        queries={str(state): int(count) for state, count in queries},
        studies={str(state): int(count) for state, count in studies},
        stopped=control is not None and control.stopped,
    )

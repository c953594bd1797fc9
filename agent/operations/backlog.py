"""The due jobs of each lane and site, for autoscaling and alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.site_backlogs import read_site_backlogs
from agent.database.states import JobState
from agent.database.tables import Job

# A backlog is counted up to this many jobs.
COUNT_CAP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneBacklog:
    """The due jobs of one site in one lane, and the time (s) since the first of them became due.

    The first is the one that is claimed next.
    """

    lane: str
    site: str
    due: int
    waiting_s: float


def read_backlog(session: Session, now: datetime) -> tuple[LaneBacklog, ...]:
    """Return every lane and site with a due job, lanes in their order."""
    found = sorted(read_site_backlogs(session, now), key=lambda one: (one.lane.rank, one.site))
    return tuple(
        LaneBacklog(
            lane=one.lane.value,
            site=one.site,
            due=_count(session, now, one.lane.value, one.site),
            waiting_s=round(max(0.0, (now - one.since).total_seconds()), 3),
        )
        for one in found
    )


def _count(session: Session, now: datetime, lane: str, site: str) -> int:
    due = select(Job.id).where(
        Job.state == JobState.QUEUED.value, Job.lane == lane, Job.site == site, Job.run_after <= now
    )
    return session.scalar(select(func.count()).select_from(due.limit(COUNT_CAP).subquery())) or 0

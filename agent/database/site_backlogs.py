"""Which sites have due jobs in which lane, read from the index alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from agent.database.base import UtcDateTime
from agent.database.states import JobState, Lane

_QUEUED = JobState.QUEUED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteBacklog:
    """The due jobs of one site in one lane: the priority of the first one, and since when it is due."""

    lane: Lane
    site: str
    priority: int
    since: datetime


# Jumps from one site to the next in the index `ix_jobs_lane`, whatever the number of queued jobs.
_LINES = (
    text(
        f"""
    WITH RECURSIVE lanes (lane) AS (VALUES {", ".join(f"('{lane}')" for lane in Lane)}),
    lines (lane, site) AS (
        SELECT lanes.lane, (
            SELECT jobs.site FROM jobs WHERE jobs.state = '{_QUEUED}' AND jobs.lane = lanes.lane
            ORDER BY jobs.site LIMIT 1
        ) FROM lanes
        UNION ALL
        SELECT lines.lane, (
            SELECT jobs.site FROM jobs
            WHERE jobs.state = '{_QUEUED}' AND jobs.lane = lines.lane AND jobs.site > lines.site
            ORDER BY jobs.site LIMIT 1
        ) FROM lines WHERE lines.site IS NOT NULL
    )
    SELECT lines.lane, lines.site, (
        SELECT jobs.priority FROM jobs
        WHERE jobs.state = '{_QUEUED}' AND jobs.lane = lines.lane AND jobs.site = lines.site
        AND jobs.run_after <= :now ORDER BY jobs.priority, jobs.run_after, jobs.id LIMIT 1
    ) AS priority, (
        SELECT jobs.run_after FROM jobs
        WHERE jobs.state = '{_QUEUED}' AND jobs.lane = lines.lane AND jobs.site = lines.site
        AND jobs.run_after <= :now ORDER BY jobs.priority, jobs.run_after, jobs.id LIMIT 1
    ) AS since
    FROM lines WHERE lines.site IS NOT NULL
    """
    )
    .bindparams(bindparam("now", type_=UtcDateTime()))
    .columns(since=UtcDateTime())
)


def read_site_backlogs(session: Session, now: datetime) -> list[SiteBacklog]:
    """Return a line for every site and lane with a due job."""
    return [
        SiteBacklog(lane=Lane(row.lane), site=row.site, priority=row.priority, since=row.since)
        for row in session.execute(_LINES, {"now": now})
        if row.since is not None
    ]

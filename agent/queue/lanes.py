"""The lane of a job, which follows from where its study came from and from its priority."""

from __future__ import annotations

from agent.database.states import Lane
from agent.database.tables import Job
from agent.objects.header import STAT_PRIORITY


def lane_for(lane: Lane, priority: int) -> Lane:
    """Return the lane of a job with this priority that came in by `lane`.

    Urgency moves a job between `stat` and `routine` only: nobody waits for what is drafted in shadow or from
    the archive.
    """
    if lane in (Lane.STAT, Lane.ROUTINE):
        return Lane.STAT if priority == STAT_PRIORITY else Lane.ROUTINE
    return lane


def set_priority(job: Job, priority: int) -> None:
    """Give a job another priority, and the lane that it means.

    A STAT priority takes a job out of `backfill`: a person or an order asks for it now. A job in shadow stays
    there, because its draft goes to nobody.
    """
    lane = Lane(job.lane)
    if lane is Lane.BACKFILL and priority == STAT_PRIORITY:
        lane = Lane.STAT
    job.priority = priority
    job.lane = lane_for(lane, priority).value


def join(job: Job, lane: Lane, priority: int) -> None:
    """Give a job the more urgent of its own lane and priority and those of another image of its study."""
    lane = min(Lane(job.lane), lane, key=lambda one: one.rank)
    job.priority = min(job.priority, priority)
    job.lane = lane_for(lane, job.priority).value

"""The lane of a job follows from the origin of its study and from its priority."""

from __future__ import annotations

import pytest

from agent.database.states import Lane
from agent.database.tables import Job
from agent.queue.lanes import join, lane_for, set_priority


@pytest.mark.parametrize(
    ("lane", "priority", "expected"),
    [
        (Lane.ROUTINE, 0, Lane.STAT),
        (Lane.ROUTINE, 50, Lane.ROUTINE),
        (Lane.STAT, 10, Lane.ROUTINE),
        (Lane.SHADOW, 0, Lane.SHADOW),
        (Lane.BACKFILL, 0, Lane.BACKFILL),
    ],
)
def test_lane_for_urgency_moves_between_stat_and_routine_only(
    lane: Lane, priority: int, expected: Lane
) -> None:
    """A STAT flag in an archived or shadowed study does not raise its priority."""
    assert lane_for(lane, priority) is expected


@pytest.mark.parametrize(
    ("lane", "priority", "expected"),
    [
        (Lane.ROUTINE, 0, "stat"),
        (Lane.STAT, 50, "routine"),
        (Lane.BACKFILL, 0, "stat"),
        (Lane.BACKFILL, 10, "backfill"),
        (Lane.SHADOW, 0, "shadow"),
    ],
)
def test_set_priority_moves_the_job_to_its_lane(lane: Lane, priority: int, expected: str) -> None:
    """A job requested as STAT is served at once, even from the archive; a shadow draft is never delivered."""
    job = Job(lane=lane.value, priority=50)
    set_priority(job, priority)
    assert (job.lane, job.priority) == (expected, priority)


def test_join_takes_the_more_urgent_of_both() -> None:
    """A live image moves its study out of the backfill, and an archived image never delays it."""
    job = Job(lane="backfill", priority=50)
    join(job, Lane.ROUTINE, 50)
    assert job.lane == "routine"
    join(job, Lane.BACKFILL, 50)
    assert job.lane == "routine"
    join(job, Lane.ROUTINE, 0)
    assert (job.lane, job.priority) == ("stat", 0)

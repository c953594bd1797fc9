"""The values of the columns `state` of jobs and of deliveries, and `lane` of jobs; `agent.queue.states` has
the allowed transitions.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """The state of one revision of one study."""

    RECEIVING = "RECEIVING"
    QUEUED = "QUEUED"
    GENERATING = "GENERATING"
    DRAFTED = "DRAFTED"
    DELIVERING = "DELIVERING"
    DELIVERED = "DELIVERED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    DEAD = "DEAD"
    CANCELED = "CANCELED"


# No work is left, unless a person, or a destination that lost a document, reopens the job.
ENDED = frozenset({JobState.DELIVERED, JobState.SKIPPED, JobState.FAILED, JobState.DEAD, JobState.CANCELED})


class Lane(StrEnum):
    """The class of service of a job: a later lane is served only while no earlier one has a job that is
    due.
    """

    STAT = "stat"
    ROUTINE = "routine"
    SHADOW = "shadow"
    BACKFILL = "backfill"

    @property
    def rank(self) -> int:
        """The place in the order: 0 is served first."""
        return tuple(Lane).index(self)

    @property
    def yields(self) -> bool:
        """Whether nobody waits for its drafts: they yield to those of the other lanes."""
        return self in (Lane.SHADOW, Lane.BACKFILL)


class DeliveryState(StrEnum):
    """The state of one document for one destination."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    STORED = "STORED"
    COMMITTED = "COMMITTED"
    UNCOMMITTED = "UNCOMMITTED"
    DEAD = "DEAD"
    CANCELED = "CANCELED"


# Still to be sent.
UNSENT = frozenset({DeliveryState.PENDING, DeliveryState.SENDING})

# The code of a job that rests in DRAFTED because its draft was made in shadow mode (`agent.shadow`).
SHADOW = "shadow"
# `instances.skipped_by` of an image that a rejection note has taken back; otherwise the name of a rule.
REJECTED = "rejected"

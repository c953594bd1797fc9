"""The values of the columns `state` of jobs and of deliveries; `agent.queue.states` has the allowed steps."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where one revision of one study stands."""

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


# The work on it is over, until a person or a destination that has lost a document brings it back.
ENDED = frozenset({JobState.DELIVERED, JobState.SKIPPED, JobState.FAILED, JobState.DEAD, JobState.CANCELED})


class DeliveryState(StrEnum):
    """Where one document on its way to one destination stands."""

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

"""Keeps deliveries and commitments from being given up too early when the database's clock is set forward.

A delivery is given up at a wall-clock time. Each process that may give one up notices a step by its monotonic
clock, and moves these times with the clock before it looks at them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import UNSENT, DeliveryState
from agent.database.tables import Delivery

# A step forward below this (s) matters to no limit.
_LEAST_STEP_S = 30.0


class ForwardSteps:
    """Notices that the database's clock was set forward: it gained on the machine's monotonic clock."""

    def __init__(
        self,
        database: Database,
        give_up_after_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The first call of `follow` only remembers the time."""
        self._database, self._monotonic = database, monotonic
        self._longest = timedelta(seconds=give_up_after_s)
        self._before: tuple[datetime, float] | None = None

    def follow(self) -> int:
        """Move the limits of unsent deliveries with the clock; return how many were changed.

        Raises:
            DatabaseUnavailable: nothing was changed; the next call makes up for it.
        """
        with self._database.reading() as session:
            now, ticks = database_now(session), self._monotonic()
        before = self._before
        step = timedelta(0)
        if before is not None:
            step = (now - before[0]) - timedelta(seconds=ticks - before[1])
        count = self._postpone(step, now + self._longest) if step > timedelta(seconds=_LEAST_STEP_S) else 0
        self._before = now, ticks
        return count

    def _postpone(self, step: timedelta, latest: datetime) -> int:
        # Other processes do the same: no limit is later than that of a document written now.
        unsent = Delivery.state.in_([one.value for one in UNSENT])
        unanswered = (Delivery.state == DeliveryState.STORED.value) & Delivery.commit_at.is_not(None)
        with self._database.transaction() as session:
            found = session.scalars(
                select(Delivery).where(unsent | unanswered).order_by(Delivery.id).with_for_update()
            ).all()
            for delivery in found:
                until = delivery.give_up_at
                if delivery.commit_at is not None:
                    # A report is not overdue yet; a commitment is given up so long after the storing.
                    delivery.commit_at += step
                    until = max(until, (delivery.stored_at or until) + self._longest)
                delivery.give_up_at = min(until + step, latest)
        return len(found)

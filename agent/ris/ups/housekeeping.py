"""Housekeeping of workitems: deletes old final ones, and ends claims without progress reports.

The standard has no transition back from IN PROGRESS to SCHEDULED. A workitem whose performer no longer
reports is canceled and replaced by a new one, which names the one that it replaces.

Source: PS3.4 CC.1.1, CC.2.3.3 (deletion locks), PS3.3 C.30.4 (replaced procedure step).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pydicom import Dataset
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.workitems import Subscription, UpsEvent, Workitem
from agent.foundation.settings.ups import UpsSettings
from agent.ris.ups.events import EventWriter
from agent.ris.ups.records import add, content_of
from agent.ris.ups.subscriptions import is_locked
from agent.ris.ups.terms import PUSH, Priority, Readiness, StepState
from agent.ris.ups.wording import cancellation

_BATCH = 100


class WorkitemHousekeeper:
    """Deletes and replaces workitems; running it in two processes does no harm."""

    def __init__(self, database: Database, settings: UpsSettings, reachable: Collection[str] = ()) -> None:
        self._database = database
        self._keep = timedelta(hours=settings.keep_final_h)
        self._silent = timedelta(hours=settings.claim_silent_h)
        self._events = EventWriter(reachable)

    def tick(self) -> tuple[int, int]:
        """Delete and replace what is due; return how many workitems were deleted and how many claims were
        ended.

        Raises:
            DatabaseUnavailable: the rest is done at the next tick.
        """
        with self._database.transaction() as session:
            now = database_now(session)
            ended = self._end_silent(session, now)
        with self._database.transaction() as session:
            return self._delete_final(session, database_now(session)), ended

    def _delete_final(self, session: Session, now: datetime) -> int:
        session.execute(delete(UpsEvent).where(UpsEvent.at < now - self._keep))
        old = select(Workitem).where(Workitem.final_at < now - self._keep).order_by(Workitem.id).limit(_BATCH)
        rows = [row for row in session.scalars(old) if not is_locked(session, row)]
        for row in rows:
            session.execute(delete(Subscription).where(Subscription.uid == row.uid))
            session.delete(row)
        return len(rows)

    def _end_silent(self, session: Session, now: datetime) -> int:
        silent = (
            select(Workitem)
            .where(
                Workitem.state == StepState.IN_PROGRESS.value,
                Workitem.job_id.is_(None),
                Workitem.touched_at < now - self._silent,
            )
            .limit(_BATCH)
            .with_for_update()
        )
        rows = session.scalars(silent).all()
        for row in rows:
            self._replace(session, row, now)
        return len(rows)

    def _replace(self, session: Session, row: Workitem, now: datetime) -> None:
        again = content_of(row)
        content = content_of(row)
        said = cancellation(content, now, code="lease-expired", reason="the performer no longer reports")
        content.ProcedureStepProgressInformationSequence = [said]
        self._events.step(session, row, content, [StepState.CANCELED], now)
        replaced = Dataset()
        replaced.ReferencedSOPClassUID, replaced.ReferencedSOPInstanceUID = PUSH, row.uid
        again.ReplacedProcedureStepSequence = [replaced]
        again.ProcedureStepProgressInformationSequence = []
        again.UnifiedProcedureStepPerformedProcedureSequence = []
        again.setdefault("ScheduledProcedureStepPriority", Priority.MEDIUM.value)
        again.InputReadinessState = Readiness.READY.value
        self._events.state(session, add(session, "", again, now=now), now)

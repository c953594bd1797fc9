"""The events of a workitem for its subscribers, written in the transaction that causes them.

Source: PS3.4 CC.2.4 (UPS Event SOP Class), table CC.2.4-1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from pydicom import Dataset
from sqlalchemy.orm import Session

from agent.database.workitems import UpsEvent, UpsReport, Workitem
from agent.ris.ups.records import as_json, content_of, save
from agent.ris.ups.subscriptions import receivers, watchers
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION, EventType, StepState
from dicom_sr.attributes import items

# The workitem's attributes that each kind of event repeats.
_COPIED = {
    EventType.STATE: ("InputReadinessState", "ProcedureStepState"),
    EventType.PROGRESS: ("ProcedureStepProgressInformationSequence",),
    EventType.ASSIGNED: (
        "ScheduledStationNameCodeSequence",
        "HumanPerformerCodeSequence",
        "HumanPerformerOrganization",
    ),
}
_CANCEL_REASONS = ("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence")


class EventWriter:
    """Writes events, and for each subscriber with a known address a report to be sent."""

    def __init__(self, reachable: Collection[str]) -> None:
        """reachable: the AE titles that have an address in the settings."""
        self._reachable = frozenset(reachable)

    def step(
        self,
        session: Session,
        workitem: Workitem,
        content: Dataset,
        steps: Iterable[StepState],
        now: datetime,
    ) -> None:
        """Move a workitem through the states, write its content, and report each state."""
        for state in steps:
            workitem.state, workitem.touched_at = state.value, now
            workitem.final_at = now if state.final else None
            save(session, workitem, content)
            self.state(session, workitem, now)

    def state(self, session: Session, workitem: Workitem, now: datetime) -> None:
        """Report the present state; on a cancellation with its reasons."""
        information = _copy(workitem, EventType.STATE)
        for item in items(content_of(workitem), "ProcedureStepProgressInformationSequence"):
            for keyword in _CANCEL_REASONS:
                if keyword in item:
                    information[keyword] = item[keyword]
        self._write(session, workitem, EventType.STATE, information, now)

    def progress(self, session: Session, workitem: Workitem, now: datetime) -> None:
        """Report the progress."""
        self._write(session, workitem, EventType.PROGRESS, _copy(workitem, EventType.PROGRESS), now)

    def assigned(self, session: Session, workitem: Workitem, now: datetime) -> None:
        """Report the assignment of the workitem."""
        self._write(session, workitem, EventType.ASSIGNED, _copy(workitem, EventType.ASSIGNED), now)

    def cancel_requested(
        self, session: Session, workitem: Workitem, information: Dataset, requester: str, now: datetime
    ) -> None:
        """Tell the performer, as a subscriber, that somebody wants the workitem canceled."""
        content = Dataset()
        content.RequestingAE = requester
        for keyword in (*_CANCEL_REASONS, "ContactURI", "ContactDisplayName"):
            if keyword in information:
                content[keyword] = information[keyword]
        self._write(session, workitem, EventType.CANCEL_REQUESTED, content, now)

    def scp_status(self, session: Session, status: str, now: datetime) -> None:
        """Tell every subscriber that this SCP restarts or goes down.

        Both lists are in the database and outlive the process: it is always a WARM START.
        """
        information = Dataset()
        information.SCPStatus = status
        information.SubscriptionListStatus = information.UnifiedProcedureStepListStatus = "WARM START"
        self._send(
            session, str(GLOBAL_SUBSCRIPTION), EventType.SCP_STATUS, information, watchers(session), now
        )

    def _write(
        self, session: Session, workitem: Workitem, kind: EventType, information: Dataset, now: datetime
    ) -> None:
        self._send(session, workitem.uid, kind, information, receivers(session, workitem), now)

    def _send(
        self, session: Session, uid: str, kind: EventType, content: Dataset, to: list[str], now: datetime
    ) -> None:
        if not to:
            return
        event = UpsEvent(at=now, uid=uid, event_type=int(kind), content=as_json(content), receivers=to)
        session.add(event)
        session.flush()
        for ae_title in to:
            if ae_title in self._reachable:
                session.add(UpsReport(event_id=event.id, ae_title=ae_title, run_after=now))


def _copy(workitem: Workitem, kind: EventType) -> Dataset:
    content, information = content_of(workitem), Dataset()
    for keyword in _COPIED[kind]:
        if keyword in content:
            information[keyword] = content[keyword]
    return information

"""The workitem manager: handles the requests of both transports, each in one transaction.

The transports turn an answer into a DIMSE status or an HTTP status; every decision is made here. A workitem
for the draft of a job belongs to this station: its state follows the job, nobody else may claim it, and what
a reader requests for it (cancel, another priority) is done to the job.

Source: PS3.4 annex CC, PS3.18 section 11, IHE RAD AIW-I.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.workitems import Workitem
from agent.foundation.errors import InvalidTransition, WorkitemInvalid
from agent.queue import operator
from agent.ris.ups import subscriptions
from agent.ris.ups.events import EventWriter
from agent.ris.ups.foreign import misread
from agent.ris.ups.records import add, chosen, content_of, locked, save, urgency_of
from agent.ris.ups.requirements import (
    Shortcoming,
    creation_shortcoming,
    final_shortcoming,
    update_shortcoming,
)
from agent.ris.ups.search import PageRequest, find
from agent.ris.ups.terms import StepState, UpsStatus, is_uid
from agent.ris.ups.transitions import Change, change_state, request_cancel
from agent.ris.ups.wording import cancellation
from dicom_sr.attributes import text

# These control how a change is made; they are not stored.
_NO_CHANGE = ("TransactionUID", "SpecificCharacterSet")
CANCELED_BY_REQUEST = "canceled by a request over UPS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request; `comment` names what is wrong without a value of the workitem."""

    status: UpsStatus
    dataset: Dataset | None = None
    uid: str = ""
    comment: str = ""
    tags: list[int] = field(default_factory=list)


class Manager:
    """Creates, changes and finds workitems, and keeps the subscriptions."""

    def __init__(
        self, database: Database, *, reachable: Collection[str] = (), strict: bool = True, actor: str = "ups"
    ) -> None:
        """Be ready.

        reachable: AE titles that have an address in the settings, so that events can be sent to them. strict:
        require attributes of type 2 at creation.
        """
        self._database = database
        self._reachable = frozenset(reachable)
        self._events = EventWriter(reachable)
        self._strict = strict
        self._actor = actor

    def create(self, uid: str, dataset: Dataset) -> Reply:
        """N-CREATE, and UPS-RS Create. Without a UID a new one is made."""
        named = text(dataset, "SOPInstanceUID")
        uid = uid or named
        if (uid and not is_uid(uid)) or named not in ("", uid):
            return Reply(status=UpsStatus.INVALID_INSTANCE, comment="invalid value: SOPInstanceUID")
        if shortcoming := creation_shortcoming(dataset, strict=self._strict):
            return _refused(shortcoming, uid)
        try:
            with self._database.transaction() as session:
                if uid and locked(session, uid) is not None:
                    return Reply(status=UpsStatus.DUPLICATE_INSTANCE, uid=uid)
                now = database_now(session)
                row = add(session, uid, dataset, now=now)
                self._events.state(session, row, now)
                return Reply(status=UpsStatus.SUCCESS, uid=row.uid, dataset=content_of(row))
        except IntegrityError:  # another process created it at the same moment
            return Reply(status=UpsStatus.DUPLICATE_INSTANCE, uid=uid)

    def get(self, uid: str, tags: Iterable[int] | None = None) -> Reply:
        """N-GET, and UPS-RS Retrieve: the requested attributes, but never the Transaction UID."""
        with self._database.reading() as session:
            row = session.scalar(select(Workitem).where(Workitem.uid == uid))
            if row is None:
                return Reply(status=UpsStatus.NO_SUCH_WORKITEM, uid=uid)
            return Reply(status=UpsStatus.SUCCESS, uid=uid, dataset=chosen(content_of(row), tags))

    def update(self, uid: str, dataset: Dataset, *, transaction_uid: str = "") -> Reply:
        """N-SET, and UPS-RS Update: anybody may update a SCHEDULED workitem, only its performer a claimed
        one.
        """
        if shortcoming := update_shortcoming(dataset):
            return _refused(shortcoming, uid)
        given = transaction_uid or text(dataset, "TransactionUID")
        changes = Dataset()
        changes.update({element.tag: element for element in dataset if element.keyword not in _NO_CHANGE})
        return self._with(uid, lambda session, row, now: self._update(session, row, changes, given, now))

    def change_state(self, uid: str, requested: str, transaction_uid: str) -> Reply:
        """N-ACTION 1 and UPS-RS Change State."""
        try:
            wanted = StepState(requested.strip())
        except ValueError:
            return Reply(
                status=UpsStatus.INVALID_ARGUMENT, uid=uid, comment="invalid value: ProcedureStepState"
            )
        return self._with(
            uid, lambda session, row, now: self._change(session, row, wanted, transaction_uid, now)
        )

    def request_cancel(self, uid: str, information: Dataset, requester: str) -> Reply:
        """N-ACTION 2 and UPS-RS Request Cancellation."""
        if wrong := misread(information):
            return _refused(Shortcoming(status=UpsStatus.INVALID_ARGUMENT, keywords=wrong), uid)
        return self._with(
            uid, lambda session, row, now: self._cancel(session, row, information, requester, now)
        )

    def subscribe(
        self,
        uid: str,
        ae_title: str,
        *,
        deletion_lock: bool = False,
        keys: Dataset | None = None,
        known: bool = False,
    ) -> Reply:
        """N-ACTION 3 and UPS-RS Subscribe.

        known: the receiver opens a channel to us, so no address is needed.
        """
        if not ae_title or (not known and ae_title not in self._reachable):
            return Reply(status=UpsStatus.UNKNOWN_RECEIVER, uid=uid, comment="add it to ups.subscribers")
        if keys is not None and (wrong := misread(keys)):
            return _refused(Shortcoming(status=UpsStatus.INVALID_ARGUMENT, keywords=wrong), uid)
        with self._database.transaction() as session:
            now = database_now(session)
            if not subscriptions.has_room(session, ae_title):
                return Reply(status=UpsStatus.RESOURCE_LIMITATION, uid=uid, comment="too many subscribers")
            row = None if uid in subscriptions.GLOBAL else locked(session, uid)
            if row is None and uid not in subscriptions.GLOBAL:
                return Reply(status=UpsStatus.NO_SUCH_WORKITEM, uid=uid)
            subscriptions.subscribe(session, ae_title, uid, now=now, deletion_lock=deletion_lock, keys=keys)
            if row is not None:
                self._events.state(session, row, now)
        return Reply(status=UpsStatus.SUCCESS, uid=uid)

    def unsubscribe(self, uid: str, ae_title: str) -> Reply:
        """N-ACTION 4 and UPS-RS Unsubscribe."""
        with self._database.transaction() as session:
            if uid not in subscriptions.GLOBAL and locked(session, uid) is None:
                return Reply(status=UpsStatus.NO_SUCH_WORKITEM, uid=uid)
            subscriptions.unsubscribe(session, ae_title, uid, now=database_now(session))
        return Reply(status=UpsStatus.SUCCESS, uid=uid)

    def suspend(self, uid: str, ae_title: str) -> Reply:
        """N-ACTION 5 and UPS-RS Suspend Global Subscription."""
        if uid not in subscriptions.GLOBAL:
            return Reply(status=UpsStatus.INVALID_ARGUMENT, uid=uid, comment="only for a global subscription")
        with self._database.transaction() as session:
            found = subscriptions.suspend(session, ae_title, uid)
        return Reply(status=UpsStatus.SUCCESS if found else UpsStatus.UNKNOWN_RECEIVER, uid=uid)

    def find(
        self, keys: Dataset, *, limit: int | None = None, offset: int = 0, whole: bool = False
    ) -> Iterator[dict[str, Any]]:
        """C-FIND and UPS-RS Search: the matching workitems in DICOM JSON, urgent ones first.

        Raises:
            WorkitemInvalid: a key's value cannot be read.
        """
        if wrong := misread(keys):
            raise WorkitemInvalid(f"invalid value: {', '.join(wrong)}")
        return find(self._database, keys, PageRequest(limit=limit, offset=offset, whole=whole))

    def announce(self, status: str) -> None:
        """Tell every subscriber that this SCP was restarted or is going down; no data is lost."""
        with self._database.transaction() as session:
            self._events.scp_status(session, status, database_now(session))

    def _with(self, uid: str, act: Callable[[Session, Workitem, datetime], Reply]) -> Reply:
        with self._database.transaction() as session:
            row = locked(session, uid)
            if row is None:
                return Reply(status=UpsStatus.NO_SUCH_WORKITEM, uid=uid)
            return act(session, row, database_now(session))

    def _update(self, session: Session, row: Workitem, changes: Dataset, given: str, now: datetime) -> Reply:
        state = StepState(row.state)
        if state.final:
            return Reply(status=UpsStatus.NOT_UPDATABLE, uid=row.uid)
        if state is StepState.IN_PROGRESS and (not given or given != row.transaction_uid):
            return Reply(status=UpsStatus.WRONG_TRANSACTION, uid=row.uid)
        before = content_of(row)
        content = content_of(row)
        content.update(changes)
        save(session, row, content)
        row.touched_at = now
        if row.job_id is not None and urgency_of(content) != urgency_of(before):
            operator.prioritise_in(session, row.job_id, row.urgency)
        self._report_changes(session, row, before, content, now)
        return Reply(status=UpsStatus.SUCCESS, uid=row.uid, dataset=content_of(row))

    def _report_changes(
        self, session: Session, row: Workitem, before: Dataset, after: Dataset, now: datetime
    ) -> None:
        def changed(*keywords: str) -> bool:
            return any(before.get(keyword) != after.get(keyword) for keyword in keywords)

        if changed("InputReadinessState"):
            self._events.state(session, row, now)
        if changed("ProcedureStepProgressInformationSequence"):
            self._events.progress(session, row, now)
        if changed("ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence"):
            self._events.assigned(session, row, now)

    def _change(
        self, session: Session, row: Workitem, wanted: StepState, transaction_uid: str, now: datetime
    ) -> Reply:
        content = content_of(row)
        missing = final_shortcoming(content, wanted) if wanted.final else None
        change = change_state(
            StepState(row.state),
            wanted,
            transaction_uid=transaction_uid,
            claimed_with=row.transaction_uid,
            requirements_met=missing is None,
        )
        if missing is not None and change.status is UpsStatus.FINAL_REQUIREMENTS:
            return _refused(missing, row.uid)
        if row.job_id is not None and change.steps:
            return Reply(status=UpsStatus.NOT_AUTHORIZED, uid=row.uid, comment="assigned to this station")
        if change.steps == (StepState.IN_PROGRESS,):
            row.transaction_uid = transaction_uid
        self._events.step(session, row, content, change.steps, now)
        return Reply(status=change.status, uid=row.uid)

    def _cancel(
        self, session: Session, row: Workitem, information: Dataset, requester: str, now: datetime
    ) -> Reply:
        change = request_cancel(StepState(row.state))
        if change.asks_performer:
            self._events.cancel_requested(session, row, information, requester, now)
        if row.job_id is not None and (change.steps or change.asks_performer):
            return self._cancel_job(session, row, change)
        if change.steps:
            content = content_of(row)
            content.ProcedureStepProgressInformationSequence = [cancellation(content, now, information)]
            self._events.step(session, row, content, change.steps, now)
        return Reply(status=change.status, uid=row.uid)

    def _cancel_job(self, session: Session, row: Workitem, change: Change) -> Reply:
        """Cancel the draft itself; the workitem follows its job within a moment."""
        try:
            operator.cancel_in(session, row.job_id or 0, reason=CANCELED_BY_REQUEST, actor=self._actor)
        except InvalidTransition:  # it ended a moment ago, and its workitem has not been updated yet
            return Reply(status=UpsStatus.IS_COMPLETED, uid=row.uid)
        return Reply(status=change.status, uid=row.uid)


def _refused(shortcoming: Shortcoming, uid: str) -> Reply:
    return Reply(status=shortcoming.status, uid=uid, comment=shortcoming.comment, tags=shortcoming.tags)

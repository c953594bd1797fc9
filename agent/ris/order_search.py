"""Queries the modality worklist for the order of each study that arrives with an accession number.

No draft waits for it. The worklist is queried as soon as the study's first image has arrived, long before its
quiet time is over; an order that is found later is applied like a late HL7 order. A worklist without an entry
is not a failure. One that does not answer is queried again, even after a restart, because searches are rows
in the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.identity.current import current
from agent.database.identity.order import order_of
from agent.database.identity.patient import patient_of_row
from agent.database.orders import OrderSearch
from agent.database.remarks import remark
from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Job, Study
from agent.foundation.breaker import QUERY_PAUSES, Breaker
from agent.foundation.errors import AgentError, WorklistRefused, WorklistUnavailable
from agent.foundation.failure import RetryPolicy
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import MwlSettings
from agent.network.worklist_scu import worklist_entries
from agent.ris.apply import enter_order
from agent.ris.entries import FOUND, MISMATCH, NONE_FOUND, EntryChoice, choose_entry

ACTOR = "mwl"
KNOWN, GIVEN_UP = "order-known", "order-given-up"
POLL_S = 0.5
_BATCH = 20
_SEARCHES = RetryPolicy(first_s=5.0, longest_s=300.0)
_OPEN = (JobState.RECEIVING.value, JobState.QUEUED.value)
_REASONS = {
    FOUND: "the modality worklist has the order of this study",
    MISMATCH: "the modality worklist has this accession number for another patient, or for several orders",
    GIVEN_UP: "the modality worklist did not answer",
}
Ask = Callable[[MwlSettings, str], Sequence[Dataset]]


class OrderSearcher:
    """Runs the searches one after the other, from a thread."""

    def __init__(
        self,
        database: Database,
        settings: MwlSettings,
        ask: Ask = worklist_entries,
        chance: Random | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._ask = ask
        self._chance = chance or Random()
        self._breaker = Breaker()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=ACTOR, daemon=True)
        self._log = get_logger(ACTOR)

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further search; the running one ends within its time limit."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._settings.time_budget_s + 5)

    def run_once(self) -> int:
        """Run the searches that are due now; return their number."""
        self._enroll()
        count = 0
        while not self._stop.is_set() and self._breaker.allows(time.monotonic()):
            study_id = self._take()
            if study_id is None:
                return count
            self._search(study_id)
            count += 1
        return count

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.run_once()
            except AgentError as error:
                self._log.warning("order_search_failed", code=error.code)
            except Exception as error:  # noqa: BLE001 - outermost: the next studies have orders too
                self._log.error("order_search_failed", code="unexpected", error_type=type(error).__name__)

    def _enroll(self) -> None:
        """Add a search for each study that is not yet drafted and has an accession number."""
        new = (
            select(Study.id)
            .join(Job, Job.study_id == Study.id)
            .outerjoin(OrderSearch, OrderSearch.study_id == Study.id)
            .where(
                Job.kind == "draft",
                Job.state.in_(_OPEN),
                Study.prior.is_(False),
                Study.accession_number != "",
                OrderSearch.study_id.is_(None),
            )
            .order_by(Study.id)
            .distinct()
            .limit(_BATCH)
        )
        with self._database.reading() as session:
            if session.scalars(new).first() is None:
                return
        with self._database.transaction() as session:
            now = database_now(session)
            for study_id in session.scalars(new).all():
                session.add(OrderSearch(study_id=study_id, begun_at=now, next_at=now, attempts=0))

    def _take(self) -> int | None:
        """Claim the search that has been due the longest; if this process dies, it is due again later."""
        with self._database.reading() as session:
            now = database_now(session)
            due = select(OrderSearch.study_id).where(
                OrderSearch.ended_at.is_(None), OrderSearch.next_at <= now
            )
            if session.scalar(due.limit(1)) is None:
                return None
        with self._database.transaction() as session:
            now = database_now(session)
            search = session.scalars(
                select(OrderSearch)
                .where(OrderSearch.ended_at.is_(None), OrderSearch.next_at <= now)
                .order_by(OrderSearch.next_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if search is None:
                return None
            search.attempts += 1
            search.next_at = now + timedelta(seconds=self._settings.time_budget_s + _SEARCHES.longest_s)
            return search.study_id

    def _search(self, study_id: int) -> None:
        with self._database.reading() as session:
            study = session.get_one(Study, study_id)
            accession, uid = study.accession_number.strip(), study.study_instance_uid
            patient = current(session, patient_of_row(study))
            known = order_of(session, study) is not None
        if known or not accession or any(one in accession for one in "*?\\"):
            self._end(study_id, EntryChoice(code=KNOWN if known else NONE_FOUND), asked=None)
            return
        try:
            entries = self._ask(self._settings, accession)
        except (WorklistUnavailable, WorklistRefused) as error:
            self._failed(study_id, error, outage=isinstance(error, WorklistUnavailable))
            return
        self._breaker = self._breaker.succeeded()
        choice = choose_entry(entries, accession_number=accession, study_instance_uid=uid, patient=patient)
        self._log.info("order_search", study_ref=study_ref(uid), code=choice.code, count=len(entries))
        self._end(study_id, choice, asked=len(entries))

    def _failed(self, study_id: int, error: AgentError, *, outage: bool) -> None:
        """Retry later, or give up."""
        if outage:
            self._breaker = self._breaker.failed(time.monotonic(), self._chance.random(), QUERY_PAUSES)
        self._log.warning("order_search_failed", code=error.code)
        with self._database.transaction() as session:
            now = database_now(session)
            search = session.get_one(OrderSearch, study_id, with_for_update=True)
            search.code = error.code
            wait_s = _SEARCHES.ceiling_s(search.attempts)
            search.next_at = now + timedelta(seconds=wait_s)
            self._audit(session, study_id, None, now)
            if now >= search.begun_at + timedelta(seconds=self._settings.give_up_after_s):
                search.ended_at = now
                _tell(session, study_id, GIVEN_UP, now)

    def _end(self, study_id: int, choice: EntryChoice, *, asked: int | None) -> None:
        """Write the outcome of a search, and the order."""
        with self._database.transaction() as session:
            now = database_now(session)
            search = session.get_one(OrderSearch, study_id, with_for_update=True)
            if search.ended_at is not None:
                return
            search.code, search.ended_at = choice.code, now
            if asked is not None:
                self._audit(session, study_id, asked, now)
            if choice.order is not None:
                enter_order(session, choice.order, None, now)
            _tell(session, study_id, choice.code, now)

    def _audit(self, session: Session, study_id: int, count: int | None, now: datetime) -> None:
        record(
            session,
            Event(
                action=Action.QUERY,
                actor=ACTOR,
                address=self._settings.host,
                succeeded=count is not None,
                study_id=study_id,
                details={"query": "WORKLIST", "count": count or 0},
            ),
            at=now,
        )


def _tell(session: Session, study_id: int, code: str, now: datetime) -> None:
    """Record in the history of the study's newest job how the search ended, if a reader needs to know."""
    reason = _REASONS.get(code)
    job = session.scalars(
        select(Job).where(Job.study_id == study_id, Job.kind == "draft").order_by(Job.id.desc()).limit(1)
    ).first()
    if reason is None or job is None:
        return
    remark(session, job, code=code, reason=reason, actor=ACTOR, at=now)

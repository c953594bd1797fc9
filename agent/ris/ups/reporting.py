"""Sends events to subscribers by N-EVENT-REPORT, each to its own address.

The standard lets an SCP drop reports that it cannot deliver: each is tried a few times, then given up, and
the subscriber queries the state when it is back.

Source: PS3.4 CC.2.4 (UPS Event SOP Class), PS3.7 10.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta

from pynetdicom.association import Association
from sqlalchemy import delete, select

from agent.database.session import Database, database_now
from agent.database.workitems import UpsEvent, UpsReport
from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.foundation.failure import RetryPolicy
from agent.foundation.log import get_logger
from agent.network.scu import Peer, associated
from agent.ris.ups.records import as_dataset
from agent.ris.ups.terms import EVENT, PUSH

_REPORTS = RetryPolicy(maximum_attempts=6, first_s=2.0, longest_s=60.0)
_BATCH = 100
_THREADS, _THREADS_FOR_FAILING = 8, 4
# How long (s) a tick waits for the reports that it has started to send.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    event: UpsEvent
    attempts: int


class EventReporter:
    """Sends events to subscribers with an address, each in its own thread.

    A subscriber that does not answer costs its timeout at every attempt. Those whose last attempt failed
    share a few separate threads, so that they never delay those that answer.
    """

    def __init__(self, database: Database, peers: Mapping[str, Peer]) -> None:
        """peers: the subscribers' addresses by AE title."""
        self._database = database
        self._peers = peers
        self._log = get_logger("ups")
        self._answering = ThreadPoolExecutor(_THREADS, "ups-events")
        self._failing = ThreadPoolExecutor(_THREADS_FOR_FAILING, "ups-events-again")
        self._failed: set[str] = set()
        self._under_way: dict[str, Future[int]] = {}

    def tick(self) -> int:
        """Send what is due, each subscriber's events in order; return how many were delivered within a short
        time.

        Raises:
            DatabaseUnavailable: the rest is sent at the next tick; an event may then be sent twice.
        """
        told = self._collected()
        begun = []
        for ae_title in self._waiting():
            if ae_title in self._peers and ae_title not in self._under_way:
                pool = self._failing if ae_title in self._failed else self._answering
                future = pool.submit(self._send, ae_title)
                self._under_way[ae_title] = future
                begun.append(future)
        wait(begun, timeout=_PATIENCE_S)
        return told + self._collected()

    def _send(self, ae_title: str) -> int:
        return self._tell(ae_title, self._due(ae_title))

    def _collected(self) -> int:
        """Collect finished reports and raise their errors; return how many were delivered."""
        ended = [name for name, one in self._under_way.items() if one.done()]
        return sum(one.result() for one in [self._under_way.pop(name) for name in ended])

    def close(self) -> None:
        """Start no further reports; those being sent finish by themselves."""
        self._answering.shutdown(wait=False, cancel_futures=True)
        self._failing.shutdown(wait=False, cancel_futures=True)

    def _waiting(self) -> list[str]:
        """The AE titles that have reports to be sent."""
        with self._database.reading() as session:
            return sorted(session.scalars(select(UpsReport.ae_title).distinct()))

    def _due(self, ae_title: str) -> list[_Due]:
        with self._database.reading() as session:
            first = session.scalar(
                select(UpsReport.run_after).where(UpsReport.ae_title == ae_title).order_by(UpsReport.event_id)
            )
            # In order: a report that waits for a retry holds back later ones.
            if first is None or first > database_now(session):
                return []
            rows = session.execute(
                select(UpsEvent, UpsReport.attempts)
                .join(UpsReport, UpsReport.event_id == UpsEvent.id)
                .where(UpsReport.ae_title == ae_title)
                .order_by(UpsEvent.id)
                .limit(_BATCH)
            ).all()
        return [_Due(event=event, attempts=attempts) for event, attempts in rows]

    def _tell(self, ae_title: str, due: Sequence[_Due]) -> int:
        if not due:
            return 0
        told = 0
        try:
            with associated(self._peers[ae_title], [EVENT]) as association:
                for one in due:
                    if not _report(association, one.event):
                        raise DeliveryFailed("the subscriber did not take the report")
                    self._forget(ae_title, one.event.id)
                    told += 1
            self._failed.discard(ae_title)
        except (DeliveryFailed, DeliveryRefused) as error:
            self._failed.add(ae_title)
            self._postpone(ae_title, due[told], error.code)
        return told

    def _forget(self, ae_title: str, event_id: int) -> None:
        with self._database.transaction() as session:
            session.execute(
                delete(UpsReport).where(UpsReport.event_id == event_id, UpsReport.ae_title == ae_title)
            )

    def _postpone(self, ae_title: str, due: _Due, code: str) -> None:
        attempts = due.attempts + 1
        self._log.warning("ups_report_failed", code=code, attempts=attempts, count=1)
        if attempts >= _REPORTS.maximum_attempts:
            self._forget(ae_title, due.event.id)
            return
        with self._database.transaction() as session:
            row = session.get(UpsReport, (due.event.id, ae_title))
            if row is not None:
                pause = _REPORTS.ceiling_s(attempts)
                row.attempts, row.run_after = attempts, database_now(session) + timedelta(seconds=pause)


def _report(association: Association, event: UpsEvent) -> bool:
    """Send one report; return whether it is settled: taken, or refused in a way that a retry cannot
    change.
    """
    information = as_dataset(event.content)
    try:
        status, _ = association.send_n_event_report(
            information, event.event_type, PUSH, event.uid, meta_uid=EVENT
        )
    except (RuntimeError, ValueError):  # the association ended, or the context was not accepted
        return False
    return "Status" in status

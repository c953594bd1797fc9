"""The delivery loop: one thread for each destination, so that an unreachable PACS does not delay the others.

Documents are never built here. Each attempt sends the bytes that the worker stored, under the same UID, so
that after a lost answer the next attempt sends the identical document.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from random import Random
from time import monotonic

from agent.database.audit.record import Recorder
from agent.database.session import Database
from agent.database.wakeup import DELIVERIES, Waker
from agent.delivery.confirmer import Confirmer, Way
from agent.delivery.ways import open_way
from agent.foundation.breaker import Breaker
from agent.foundation.errors import (
    AgentError,
    DatabaseUnavailable,
    DeliveryFailed,
    DeliveryRefused,
    DemonstrationModelRefused,
    LeaseLost,
)
from agent.foundation.failpoints import failpoint
from agent.foundation.failure import Failure, describe
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.network.scu import DestinationBusy
from agent.network.store_scu import Connection, ConnectionLost
from agent.network.tls import client_context
from agent.queue import deliveries
from agent.queue.deliveries import DeliveryClaim
from agent.queue.delivery_outcomes import WARNED
from agent.queue.forward_steps import ForwardSteps
from agent.queue.gate import refused_destination
from agent.queue.lease_keeper import LeaseKeeper

Connect = Callable[[DestinationSettings, Iterable[str]], AbstractContextManager[Connection]]
UPKEEP_EVERY_S = 15.0


class Deliverer:
    """Sends due documents, retries with backoff, and pauses for a destination that is down."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        owner: str | None = None,
        chance: Random | None = None,
        connect: Connect = open_way,
        ask: Way | None = None,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._database, self._settings = database, settings
        self._destinations = settings.destinations
        self._delivery = settings.delivery
        self._asked = frozenset(one.name for one in settings.destinations if one.commitment)
        self._owner = owner or f"deliverer@{socket.gethostname()}:{os.getpid()}"
        self._chance = chance or Random()
        self._connect = connect
        self._seconds = seconds
        self._policy = settings.delivery.retry
        self._forward_steps = ForwardSteps(database, settings.delivery.give_up_after_s, seconds)
        self._breakers = {one.name: Breaker() for one in settings.destinations}
        self._news = {one.name: threading.Event() for one in settings.destinations}
        lease_s = settings.delivery.lease_s
        self._keeper: LeaseKeeper[DeliveryClaim] = LeaseKeeper(
            partial(deliveries.heartbeat, database, lease_s=lease_s), lease_s
        )
        self._recorder = Recorder(database, "deliverer")
        self._confirmers = [
            Confirmer(
                database,
                settings,
                one,
                self._recorder,
                owner=self._owner,
                chance=self._chance,
                way=ask,
                seconds=seconds,
            )
            for one in settings.destinations
            if one.commitment
        ]
        self._log = get_logger("deliverer")

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; then finish the current document.

        Raises:
            SettingsError: the TLS files of a destination are missing or do not fit; nothing was sent.
        """
        for one in self._destinations:
            for tls in (one.tls, None if one.fhir is None else one.fhir.tls):
                if tls is not None:
                    client_context(tls)
        with self._recorder, self._keeper:
            threads = [
                threading.Thread(target=self._serve, args=(one, stop), name=f"to-{one.name}", daemon=True)
                for one in self._destinations
            ]
            threads += [
                threading.Thread(target=one.run, args=(stop,), name=f"commitment-{one.name}", daemon=True)
                for one in self._confirmers
            ]
            for thread in threads:
                thread.start()
            with Waker(self._database, DELIVERIES, self._wake):
                while not stop.is_set():
                    try:
                        self.upkeep()
                    except DatabaseUnavailable as error:
                        if not error.retryable:  # the next start refuses, and says what to do
                            stop.set()
                            raise
                        self._log.warning("database_unavailable", code=error.code)
                    stop.wait(UPKEEP_EVERY_S)
            self._wake()
            for thread in threads:
                thread.join()

    def run_once(self) -> int:
        """Send one batch to each destination, then ask for commitment; return how many documents were sent.

        Raises:
            DatabaseUnavailable: leases expire by themselves, and the documents are sent again.
        """
        self.upkeep()
        with self._keeper:
            sent = sum(self._deliver(one) for one in self._destinations)
        for confirmer in self._confirmers:
            confirmer.step()
        self._recorder.flush()
        return sent

    def upkeep(self) -> None:
        """Reclaim the documents of a dead deliverer, and give up those that have waited too long.

        Raises:
            DatabaseUnavailable: nothing was done.
        """
        self._forward_steps.follow()
        deliveries.reclaim_expired(self._database, self._policy, chance=self._chance, actor=self._owner)
        deliveries.give_up(self._database, actor=self._owner)

    def _serve(self, destination: DestinationSettings, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                dealt_with = self._deliver(destination, stop)
            except DatabaseUnavailable as error:
                self._log.warning("database_unavailable", code=error.code)
                dealt_with = 0
            except Exception as error:  # noqa: BLE001 - outermost: the thread must go on for what comes
                self._log.error("unexpected", destination=destination.name, error_type=type(error).__name__)
                dealt_with = 0
            if not dealt_with:
                self._news[destination.name].wait(self._delivery.poll_s)
                self._news[destination.name].clear()

    def _wake(self) -> None:
        """Poll the outbox now. From any thread."""
        for news in self._news.values():
            news.set()

    def _deliver(self, destination: DestinationSettings, stop: threading.Event | None = None) -> int:
        breaker = self._breakers[destination.name]
        if not breaker.allows(self._seconds()):
            return 0
        # After an outage one document tests whether the destination is back.
        limit = 1 if breaker.failures else self._delivery.batch
        claims = deliveries.claim(
            self._database,
            self._owner,
            destination.name,
            self._delivery.lease_s,
            limit,
            in_order=destination.takes_messages,
        )
        if not claims:
            return 0
        self._keeper.keep(claims)
        failpoint("delivery.after-claim")
        try:
            self._send(destination, claims, stop)
        finally:
            self._keeper.drop(claims)
        return len(claims)

    def _send(
        self, destination: DestinationSettings, claims: Sequence[DeliveryClaim], stop: threading.Event | None
    ) -> None:
        waiting = list(claims)
        try:
            waiting = self._allowed(destination, waiting)
            if not waiting:
                return
            with self._connect(destination, [claim.sop_class_uid for claim in waiting]) as connection:
                while waiting and not (stop and stop.is_set()):
                    self._store(connection, waiting[0])
                    waiting.pop(0)
                    self._breakers[destination.name] = self._breakers[destination.name].succeeded()
        except DeliveryFailed as error:  # ConnectionLost, or one before the first document: a refused token
            self._trip(destination, error)
            # The current document has failed; the others were not tried.
            if waiting:
                self._end(waiting.pop(0), error)
        except DeliveryRefused as error:
            while waiting:
                self._end(waiting.pop(0), error)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - outermost for a connection: a later one may succeed
            self._log.error("unexpected", destination=destination.name, error_type=type(error).__name__)
            self._trip(destination, error)
            if waiting:
                self._end(waiting.pop(0), error)
        self._postpone(waiting)

    def _allowed(
        self, destination: DestinationSettings, claims: Sequence[DeliveryClaim]
    ) -> list[DeliveryClaim]:
        """Ask the gate again: the settings may have changed since a document was written."""
        allowed = []
        for claim in claims:
            refused = refused_destination(
                demonstration=claim.demonstration, destination=destination, settings=self._settings
            )
            if refused is None:
                allowed.append(claim)
            else:
                self._end(claim, DemonstrationModelRefused(refused.reason))
        return allowed

    def _store(self, connection: Connection, claim: DeliveryClaim) -> None:
        try:
            failpoint("delivery.before-send")
            warning = connection.store(claim)
            failpoint("delivery.before-row")
        except ConnectionLost:
            raise
        except AgentError as error:
            self._end(claim, error)
            return
        except Exception as error:  # noqa: BLE001 - outermost for one document: it must not stop the others
            self._log.error("unexpected", delivery_id=claim.delivery_id, error_type=type(error).__name__)
            self._end(claim, error)
            return
        self._stored(claim, warning)

    def _stored(self, claim: DeliveryClaim, warning: str | None) -> None:
        try:
            deliveries.stored(
                self._database,
                claim,
                actor=self._owner,
                commit=claim.destination in self._asked,
                warning=warning,
            )
        except LeaseLost as error:
            self._log.warning("result_discarded", delivery_id=claim.delivery_id, code=error.code)
            return
        failpoint("delivery.after-row")
        level = self._log.info if warning is None else self._log.warning
        level(
            "stored",
            delivery_id=claim.delivery_id,
            job_id=claim.job_id,
            destination=claim.destination,
            code=None if warning is None else WARNED,
            status=None if warning is None else warning[2:6],
        )

    def _end(self, claim: DeliveryClaim, error: Exception) -> None:
        """Record that the document was not accepted: it waits, or is DEAD."""
        failure = describe(error)
        try:
            state = deliveries.fail(
                self._database,
                claim,
                failure,
                self._policy,
                chance=self._chance,
                actor=self._owner,
                at_least_s=self._asked_wait_s(error),
            )
        except LeaseLost as lost:
            self._log.warning("result_discarded", delivery_id=claim.delivery_id, code=lost.code)
            return
        self._log.warning(
            "not_stored",
            delivery_id=claim.delivery_id,
            job_id=claim.job_id,
            destination=claim.destination,
            state=state.value,
            code=failure.code,
            attempts=claim.attempts,
        )

    def _asked_wait_s(self, error: Exception) -> float:
        """Return how long (s) the destination asks us to wait, at most `delivery.longest_retry_s`."""
        asked = error.retry_after_s if isinstance(error, DestinationBusy) else None
        return min(asked or 0.0, self._policy.longest_s)

    def _postpone(self, claims: Sequence[DeliveryClaim]) -> None:
        if claims:
            untried = Failure(
                code="not-tried", reason="the association ended before it was sent", retryable=True
            )
            deliveries.postpone(self._database, claims, 0.0, untried)

    def _trip(self, destination: DestinationSettings, error: Exception) -> None:
        now = self._seconds()
        breaker = self._breakers[destination.name].failed(now, self._chance.random(), self._policy)
        self._breakers[destination.name] = breaker.closed_until(now + self._asked_wait_s(error))
        self._log.warning(
            "destination_unreachable",
            destination=destination.name,
            code=describe(error).code,
            attempts=self._breakers[destination.name].failures,
        )

"""Storage commitment: asks each destination to commit to the documents that it has stored.

A request is sent by N-ACTION; its report arrives on the same association, or later at the listener. If none
arrives, the destination is queried for what it holds (C-FIND); a DICOMweb server is only queried (QIDO-RS).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from time import monotonic
from typing import Protocol

from pynetdicom import evt

from agent.database.audit.record import Recorder
from agent.database.session import Database
from agent.delivery import commitments
from agent.delivery.commitment_reports import CommitmentReports, rule_of
from agent.foundation.breaker import Breaker
from agent.foundation.errors import AgentError, CommitmentUnsupported, DatabaseUnavailable
from agent.foundation.failpoints import failpoint
from agent.foundation.failure import Failure, describe
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.network import commitment_scu as commitment
from agent.network.commitment_scp import ReportStatus
from agent.network.commitment_terms import (
    CommitmentAnswer,
    CommitmentItem,
    CommitmentRequest,
    CommitmentResult,
    CommitmentRule,
)
from agent.network.scu import ConnectionLost

OnReport = Callable[[evt.Event], tuple[ReportStatus, str | None]]
_FOUND = CommitmentAnswer(
    word=CommitmentResult.COMMITTED,
    why=Failure(
        code="found-by-query", reason="no report of commitment, but the destination holds it", retryable=False
    ),
)
_NOT_THERE = Failure(
    code="commitment-lost", reason="the destination was queried and does not have it", retryable=True
)
# More than a look-up of a whole batch takes; after that (s) another deliverer may take over, or sooner where
# `commitment_timeout_s` is shorter: one that dies in the middle holds nothing up for longer.
_LONGEST_HOLD_S = 600.0


class Way(Protocol):
    """The connection for requesting commitment from a destination."""

    def ask(self, destination: DestinationSettings, request: CommitmentRequest, on_report: OnReport) -> None:
        """Request commitment; see `agent.network.commitment_scu.ask`."""

    def look_up(self, destination: DestinationSettings, items: Iterable[CommitmentItem]) -> frozenset[str]:
        """Return the SOP Instance UIDs that it holds."""


class RealWay:
    """Uses DICOM or DICOMweb, depending on the kind of the destination."""

    def ask(self, destination: DestinationSettings, request: CommitmentRequest, on_report: OnReport) -> None:
        """Request commitment (N-ACTION)."""
        commitment.ask(destination, request, wait_s=destination.commitment_wait_s, on_report=on_report)

    def look_up(self, destination: DestinationSettings, items: Iterable[CommitmentItem]) -> frozenset[str]:
        """Query by C-FIND or QIDO-RS."""
        if destination.kind == "dicom":
            return commitment.look_up(destination, items)
        from agent.network.stow import holds  # an HTTP client that a DICOM-only deliverer does not load

        return holds(destination, items)


class Confirmer:
    """Requests commitment from one destination, in its own thread: a slow archive does not hold up
    deliveries.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        destination: DestinationSettings,
        recorder: Recorder,
        *,
        owner: str,
        chance: Random,
        way: Way | None = None,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self.name = destination.name
        self._database = database
        self._destination = destination
        self._rule: CommitmentRule = rule_of(destination, settings)
        self._poll_s = settings.delivery.poll_s
        self._reports = CommitmentReports(database, settings, actor=owner, chance=chance, note=recorder.note)
        self._owner = owner
        self._chance = chance
        self._way: Way = way or RealWay()
        self._seconds = seconds
        self._breaker = Breaker()
        self._log = get_logger("commitment")

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set."""
        while not stop.is_set():
            try:
                asked = self.step()
            except DatabaseUnavailable as error:
                self._log.warning("database_unavailable", code=error.code)
                asked = 0
            except Exception as error:  # noqa: BLE001 - outermost: an archive's odd answer must not end this
                self._log.error("unexpected", error_type=type(error).__name__)
                asked = 0
            if not asked:
                stop.wait(self._poll_s)

    def step(self) -> int:
        """Make one request and one query for the due documents; return their number.

        Raises:
            DatabaseUnavailable: unanswered documents are asked for again.
        """
        if not self._breaker.allows(self._seconds()):
            return 0
        if self._destination.kind == "stow":
            return self._look_up(self._overdue(asked=False))
        return self._ask() + self._look_up(self._overdue(asked=True))

    def _overdue(self, *, asked: bool) -> tuple[CommitmentItem, ...]:
        hold_s = min(_LONGEST_HOLD_S, self._destination.commitment_timeout_s)
        return commitments.overdue(self._database, self._destination.name, hold_s=hold_s, asked=asked)

    def _ask(self) -> int:
        destination = self._destination
        request = commitments.request(
            self._database, destination.name, timeout_s=destination.commitment_timeout_s
        )
        if request is None:
            return 0
        take = partial(
            self._reports.take,
            peer=frozenset({destination.name}),
            ae_title=destination.ae_title,
            address=destination.host,
        )
        failpoint("commitment.before-request")
        try:
            self._way.ask(destination, request, take)
        except CommitmentUnsupported:
            return self._look_up(request.items)
        except AgentError as error:
            self._failed(request.items, error)
        else:
            failpoint("commitment.after-request")
            self._breaker = self._breaker.succeeded()
            self._log.info("commitment_requested", destination=destination.name, count=len(request.items))
        return len(request.items)

    def _look_up(self, items: Sequence[CommitmentItem]) -> int:
        if not items:
            return 0
        try:
            found = self._way.look_up(self._destination, items)
        except AgentError as error:
            self._failed(items, error)
            return len(items)
        self._breaker = self._breaker.succeeded()
        self._answer([(item, self._found(item, item.sop_instance_uid in found)) for item in items])
        self._log.info(
            "commitment_looked_up", destination=self._destination.name, count=len(items), found=len(found)
        )
        return len(items)

    def _found(self, item: CommitmentItem, here: bool) -> CommitmentAnswer:
        if here:
            return _FOUND
        # A DICOMweb server may list a new object only after a while.
        patient = self._destination.kind == "stow" and item.attempts < self._rule.attempts
        return CommitmentAnswer(
            word=CommitmentResult.LATER if patient else CommitmentResult.LOST, why=_NOT_THERE
        )

    def _failed(self, items: Sequence[CommitmentItem], error: AgentError) -> None:
        why = describe(error)
        if not isinstance(error, ConnectionLost):
            self._answer([(item, CommitmentAnswer(word=CommitmentResult.LATER, why=why)) for item in items])
            return
        self._breaker = self._breaker.failed(self._seconds(), self._chance.random(), self._rule.policy)
        self._log.warning("destination_unreachable", destination=self._destination.name, code=why.code)
        commitments.put_off(self._database, items, why, self._rule)

    def _answer(self, answers: Sequence[tuple[CommitmentItem, CommitmentAnswer]]) -> None:
        commitments.answer(self._database, answers, self._rule, chance=self._chance, actor=self._owner)

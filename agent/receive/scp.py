"""The listener: Storage SCP and Verification SCP on one port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext

from agent.database.audit.record import Action, Event
from agent.database.states import Lane
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import study_ref
from agent.foundation.settings.tree import ListenerSettings
from agent.network.commitment_scp import ReportStatus, ReportTaker, report_context
from agent.network.contexts import report_contexts, supported_contexts
from agent.objects.store import InstanceStore
from agent.receive.association import BoundedAssociation
from agent.receive.association_events import address_of, calling
from agent.receive.bounded_scp import LISTENER, MEGABYTE, BoundedScp, Handlers, ScpKind
from agent.receive.intake import Intake
from agent.receive.peers import Caller
from agent.receive.receiver import Command, Receiver, ReceiveStatus, StoreAnswer, answered

# How often (s) the studies of open associations are held open in the database, at least and at most.
_HOLD_EVERY_S = (0.05, 2.0)


class StorageScp(BoundedScp):
    """Listens for objects. An object whose command comes after a stop has begun is answered 0xA700."""

    def __init__(
        self,
        settings: ListenerSettings,
        store: InstanceStore,
        intake: Intake,
        *,
        prior_ae_title: str | None = None,
        backfill_ae_title: str | None = None,
        reports: ReportTaker | None = None,
        note: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Be ready.

        prior_ae_title: objects sent to this AE title are earlier studies, which are never drafted.
        backfill_ae_title: objects sent to this AE title are drafted after everything else. reports: handles
        reports of storage commitment; none are accepted if left out. note: called with audit events; it must
        not block.
        """
        kind = ScpKind(
            name=LISTENER,
            port_setting="listener.port",
            largest_message=int(settings.maximum_object_mb * MEGABYTE),
        )
        super().__init__(
            settings, kind, prior_ae_title=prior_ae_title, backfill_ae_title=backfill_ae_title, note=note
        )
        self._intake = intake
        self._receiver = Receiver(store, intake)
        # The study that each association is sending.
        self._sending: dict[BoundedAssociation, str] = {}
        # The associations that bring earlier studies, by the AE title that they called.
        self._priors: dict[BoundedAssociation, str] = {}
        # The associations that bring old studies to be drafted.
        self._backfills: set[BoundedAssociation] = set()
        self._reports = reports

    def start(self) -> int:
        """Listen in separate threads and return the port.

        Raises:
            PortUnavailable: the address and port cannot be bound.
            SettingsError: the TLS files are missing or do not fit.
        """
        port = super().start()
        threading.Thread(target=self._hold_studies, name="listener-holds", daemon=True).start()
        return port

    def _contexts(self) -> Sequence[PresentationContext]:
        reports = [report_context()] if self._reports is not None else []
        return [*supported_contexts(self._settings.accept_secondary_capture), *reports]

    def _handlers(self) -> Handlers:
        return [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_N_EVENT_REPORT, self._on_report),
            (evt.EVT_N_ACTION, self._on_action),
        ]

    def _on_admitted(self, association: BoundedAssociation, caller: Caller) -> None:
        if self._policy.is_prior(caller.called_ae_title):
            self._priors[association] = caller.called_ae_title.strip()
            association.acceptor.supported_contexts += report_contexts()
        elif self._policy.is_backfill(caller.called_ae_title):
            self._backfills.add(association)

    def _on_ended(self, association: BoundedAssociation) -> None:
        self._sending.pop(association, None)
        self._priors.pop(association, None)
        self._backfills.discard(association)

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        """Handle a report of storage commitment."""
        association = cast(BoundedAssociation, event.assoc)
        status = ReportStatus.NOT_AUTHORIZED
        try:
            if association in self._admitted and self._reports is not None:
                ae_title = calling(association)
                peer = self._reports.destinations_of(ae_title)
                status, _uid = self._reports.take(
                    event, peer, ae_title=ae_title, address=address_of(association)
                )
        finally:
            association.messages.served()
        self._count(f"report-{status:04X}")
        return int(status), None

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        """Refuse a request for commitment: received objects are not kept for ever."""
        cast(BoundedAssociation, event.assoc).messages.served()
        self._count(f"action-{ReportStatus.UNRECOGNIZED:04X}")
        return int(ReportStatus.UNRECOGNIZED), None

    def _on_store(self, event: evt.Event) -> int:
        started = time.monotonic()
        association = cast(BoundedAssociation, event.assoc)
        request: Any = event.request
        size = request.DataSet.getbuffer().nbytes if request.DataSet is not None else 0
        try:
            if association not in self._admitted:
                answer = StoreAnswer(status=ReceiveStatus.NOT_AUTHORIZED, code="not-admitted")
            elif self._draining_since is not None and association.messages.began_at > self._draining_since:
                answer = StoreAnswer(status=ReceiveStatus.OUT_OF_RESOURCES, code="stopping")
            elif association.messages.dropped:
                answer = StoreAnswer(status=ReceiveStatus.OUT_OF_RESOURCES, code="too-much-in-flight")
            else:
                answer = self._receive(event)
        finally:
            request.DataSet = None  # the bytes can be freed while the answer is on its way
            association.messages.served()
        self._record(association, answer, size, time.monotonic() - started)
        return int(answer.status)

    def _receive(self, event: evt.Event) -> StoreAnswer:
        """Receive the object of a C-STORE request; every failure becomes a status."""
        request: Any = event.request
        command = Command(
            sop_class_uid=str(request.AffectedSOPClassUID or ""),
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
            context_class_uid=str(event.context.abstract_syntax),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=calling(event.assoc),
            prior_ae_title=self._priors.get(cast(BoundedAssociation, event.assoc), ""),
            address=address_of(cast(BoundedAssociation, event.assoc)),
            lane=Lane.BACKFILL if cast(BoundedAssociation, event.assoc) in self._backfills else None,
        )

        def receive() -> StoreAnswer:
            with request.DataSet.getbuffer() as dataset:
                return self._receiver.receive(command, dataset)

        return answered(receive)

    def _record(
        self, association: BoundedAssociation, answer: StoreAnswer, size: int, seconds: float
    ) -> None:
        if answer.study_instance_uid is not None:
            self._sending[association] = answer.study_instance_uid
        self._count(f"status-{answer.status:04X}")
        if answer.code is not None:
            self._count(answer.code)
        if answer.status is not ReceiveStatus.SUCCESS:
            details = {"status": f"{answer.status:04X}", "code": answer.code}
            self._note_failure(Action.NOT_TAKEN, association, details)
        level = self._log.info if answer.status is ReceiveStatus.SUCCESS else self._log.warning
        level(
            "object",
            status=f"{answer.status:04X}",
            code=answer.code,
            host=address_of(association),
            ae_title=calling(association),
            study_ref=study_ref(answer.study_instance_uid) if answer.study_instance_uid else None,
            size_bytes=size,
            duration_ms=round(seconds * 1000),
        )

    def _hold_studies(self) -> None:
        """Keep the studies of open associations from counting as complete."""
        every_s = min(max(self._intake.shortest_quiet_time_s / 3, _HOLD_EVERY_S[0]), _HOLD_EVERY_S[1])
        while not self._stopped.wait(every_s):
            try:
                self._intake.hold(sorted(set(self._sending.values())), 3 * every_s)
            except DatabaseUnavailable as error:
                self._log.error("hold_failed", code=error.code)

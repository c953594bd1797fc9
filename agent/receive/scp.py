"""The listener: Storage SCP and Verification SCP on one port, with an orderly end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import A_ASSOCIATE

from agent.database.audit.record import CUT_OFF, NO_CONTEXT, Action, Event
from agent.foundation.errors import AgentError, DatabaseUnavailable, PortUnavailable, StorageFull
from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import ListenerSettings
from agent.network.commitment_scp import ReportStatus, ReportTaker, report_context
from agent.network.contexts import report_contexts, supported_contexts
from agent.network.tls import fingerprint, server_context
from agent.objects.store import InstanceStore
from agent.receive.association import BoundedAssociation
from agent.receive.door_record import (
    address_of,
    association_event,
    calling,
    unmet_proposal,
)
from agent.receive.intake import Intake
from agent.receive.ledger import ConnectionLedger
from agent.receive.messages import InFlight
from agent.receive.peers import AssociationResult, Caller, PeerPolicy
from agent.receive.receiver import Command, Receiver, ReceiveStatus, StoreAnswer
from agent.receive.server import BoundedServer
from agent.receive.wire import MAXIMUM_PDU, Bounds

# How often (s) the studies of open associations are held open in the database, at least and at most.
_HOLD_EVERY_S = (0.05, 2.0)
_MEGABYTE = 1_000_000


class StorageScp:
    """Listens for objects; `start` returns at once, `stop` waits for what is arriving."""

    def __init__(
        self,
        settings: ListenerSettings,
        store: InstanceStore,
        intake: Intake,
        *,
        prior_ae_title: str | None = None,
        reports: ReportTaker | None = None,
        note: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Be ready.

        prior_ae_title: what is called to this AE title are earlier studies, which are never drafted.
        reports: takes reports of storage commitment; none are taken when left out.
        note: takes audit events; it must not wait.
        """
        self._settings = settings
        self._intake = intake
        self._receiver = Receiver(store, intake)
        self._policy = PeerPolicy(settings, prior_ae_title)
        self._ledger = ConnectionLedger(
            settings.maximum_associations,
            settings.maximum_associations_per_peer,
            self._policy.knows_address,
        )
        self._in_flight = InFlight(int(settings.maximum_in_flight_mb * _MEGABYTE))
        self._log = get_logger("listener")
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        # The study that each association is sending.
        self._sending: dict[BoundedAssociation, str] = {}
        self._admitted: set[BoundedAssociation] = set()
        # The associations that bring earlier studies, by the AE title that they called.
        self._priors: dict[BoundedAssociation, str] = {}
        self._reports = reports
        self._note = note
        self._server: BoundedServer | None = None
        self._draining_since: float | None = None
        self._stopped = threading.Event()

    def start(self) -> int:
        """Listen in threads of its own and return the port.

        Raises:
            PortUnavailable: the address and port cannot be bound.
            SettingsError: the TLS files are missing or do not fit.
        """
        # pynetdicom's own handlers format every message that they see, also when nobody logs it.
        _config.LOG_HANDLER_LEVEL = "none"
        try:
            self._server = self._make_server()
        except OSError as error:
            raise PortUnavailable(
                f"{self._settings.host}:{self._settings.port} cannot be bound: stop the other program "
                "or change `listener.port`"
            ) from error
        port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True).start()
        threading.Thread(target=self._hold_studies, name="listener-holds", daemon=True).start()
        self._log.info("listening", host=self._settings.host, port=port, ae_title=self._settings.ae_title)
        return port

    def stop(self, drain_s: float | None = None) -> None:
        """Take no new associations or objects, finish the objects that are arriving, then close.

        An object whose command comes after this call is answered 0xA700. After `drain_s` seconds (the
        setting when left out) open associations are aborted.
        """
        server = self._server
        if server is None:
            return
        self._draining_since = time.monotonic()
        server.shutdown()
        deadline = self._draining_since + (self._settings.drain_s if drain_s is None else drain_s)
        while server.open and time.monotonic() < deadline:
            if not any(association.busy for association in list(server.open)):
                break
            time.sleep(0.02)
        for association in list(server.open):
            association.abort()
        for connection in self._ledger.connections():
            connection.close()
        while server.open and time.monotonic() < deadline + 1.0:
            time.sleep(0.02)
        self._stopped.set()
        self._server = None

    def about(self) -> dict[str, Any]:
        """Return what the listener says of itself: open associations, bytes arriving, and counts."""
        with self._counting:
            counts = dict(self._counts)
        return {
            "associations": self._ledger.associations(),
            "connections": len(self._ledger.connections()),
            "evicted": self._ledger.evicted,
            "in_flight_bytes": self._in_flight.total,
            "counts": counts,
        }

    def _make_server(self) -> BoundedServer:
        settings = self._settings
        ae = ApplicationEntity(settings.ae_title)
        ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = MAXIMUM_PDU
        ae.network_timeout = settings.network_timeout_s
        ae.acse_timeout = settings.acse_timeout_s
        server = BoundedServer(
            ae,
            (settings.host, settings.port),
            settings.ae_title,
            [
                *supported_contexts(settings.accept_secondary_capture),
                *([report_context()] if self._reports is not None else []),
            ],
            server_context(settings.tls) if settings.tls else None,
            [
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_C_ECHO, self._on_echo),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_EVENT_REPORT, self._on_report),
                (evt.EVT_N_ACTION, self._on_action),
            ],
            ledger=self._ledger,
            bounds=Bounds(
                pdu_timeout_s=settings.pdu_timeout_s,
                network_timeout_s=settings.network_timeout_s,
                maximum_object=int(settings.maximum_object_mb * _MEGABYTE),
            ),
            in_flight=self._in_flight,
            request_timeout_s=settings.acse_timeout_s,
            handshake_timeout_s=settings.tls.handshake_timeout_s if settings.tls else 0.0,
            on_event=self._on_event,
            on_refused=self._on_refused,
            on_end=self._on_end,
        )
        ae._servers.append(server)  # where its shutdown() expects to be listed
        return server

    def _on_requested(self, event: evt.Event) -> None:
        """Judge an association request. Whatever goes wrong here leaves the association unadmitted."""
        association: Any = event.assoc
        request = association.requestor.primitive
        server = self._server
        if not isinstance(request, A_ASSOCIATE) or server is None or association not in server.open:
            association.is_aborted = True  # the peer has gone away meanwhile
            return
        connection = server.open[association]
        caller = Caller(
            address=connection.address,
            calling_ae_title=request.calling_ae_title or "",
            called_ae_title=request.called_ae_title or "",
            certificate_sha256=fingerprint(association.dul.socket.socket),
        )
        verdict = (
            AssociationResult.STOPPING if self._draining_since is not None else self._policy.judge(caller)
        )
        if verdict is AssociationResult.ACCEPT and not self._ledger.establish(connection):
            verdict = AssociationResult.FULL
        if verdict is AssociationResult.ACCEPT:
            self._admitted.add(association)
            if self._policy.is_prior(caller.called_ae_title):
                self._priors[association] = caller.called_ae_title.strip()
                association.acceptor.supported_contexts += report_contexts()
            self._count("accepted")
            self._note(association_event(Action.ASSOCIATION, caller))
            return
        self._refused(verdict.reason_code, caller)
        association.acse.send_reject(*verdict.value)
        association.kill()

    def _on_refused(self, reason_code: str, address: str, calling: str, called: str) -> None:
        """Put a request on record that was answered before there was an association."""
        self._refused(reason_code, Caller(address=address, calling_ae_title=calling, called_ae_title=called))

    def _refused(self, reason_code: str, caller: Caller) -> None:
        self._count(f"rejected-{reason_code}")
        self._log.warning(
            "association_rejected",
            reason_code=reason_code,
            host=caller.address,
            ae_title=caller.calling_ae_title.strip(),
        )
        self._note(association_event(Action.REFUSED, caller, reason_code))

    def _on_echo(self, event: evt.Event) -> int:
        association = cast(BoundedAssociation, event.assoc)
        association.messages.served()
        self._count("echo")
        return ReceiveStatus.SUCCESS if association in self._admitted else ReceiveStatus.NOT_AUTHORIZED

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        """Take a report of storage commitment."""
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
        """Refuse a request for commitment: what is received here is not kept for ever."""
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
            request.DataSet = None  # the bytes may go, while the answer is on its way
            association.messages.served()
        self._record(association, answer, size, time.monotonic() - started)
        return int(answer.status)

    def _receive(self, event: evt.Event) -> StoreAnswer:
        """Turn errors into statuses: this is the listener's outermost loop."""
        request: Any = event.request
        command = Command(
            sop_class_uid=str(request.AffectedSOPClassUID or ""),
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
            context_class_uid=str(event.context.abstract_syntax),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=calling(event.assoc),
            prior_ae_title=self._priors.get(cast(BoundedAssociation, event.assoc), ""),
            address=address_of(cast(BoundedAssociation, event.assoc)),
        )
        try:
            with request.DataSet.getbuffer() as dataset:
                return self._receiver.receive(command, dataset)
        except (StorageFull, DatabaseUnavailable) as error:
            return StoreAnswer(status=ReceiveStatus.OUT_OF_RESOURCES, code=error.code)
        except AgentError as error:
            return StoreAnswer(status=ReceiveStatus.PROCESSING_FAILURE, code=error.code)
        except Exception:  # noqa: BLE001 - outermost: the sender must hear a status, whatever broke
            return StoreAnswer(status=ReceiveStatus.PROCESSING_FAILURE, code="unexpected")

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
            study_ref=study_ref(answer.study_instance_uid) if answer.study_instance_uid else None,
            size_bytes=size,
            duration_ms=round(seconds * 1000),
        )

    def _on_end(self, association: BoundedAssociation) -> None:
        violation = association.violation or self._cut_off(association)
        self._note_contexts(association)
        self._sending.pop(association, None)
        self._admitted.discard(association)
        self._priors.pop(association, None)
        if violation is not None:
            self._count(violation)
            self._log.warning("association_cut", reason_code=violation)
            self._note_failure(Action.FAULT, association, {"reason_code": violation})

    def _cut_off(self, association: BoundedAssociation) -> str | None:
        """Whether the peer went away in the middle of an object."""
        stopping = self._draining_since is not None
        return CUT_OFF if association.messages.message is not None and not stopping else None

    def _note_contexts(self, association: BoundedAssociation) -> None:
        """Put an association on record that ended without a context for anything but C-ECHO."""
        proposal = unmet_proposal(association) if association in self._admitted else None
        if proposal is None:
            return
        self._count(NO_CONTEXT)
        self._log.warning(
            "association_without_context", reason_code=NO_CONTEXT, ae_title=calling(association)
        )
        self._note_failure(Action.FAULT, association, proposal)

    def _on_event(self, name: str, address: str) -> None:
        """Count a connection that came to no association; one without the right key is on record."""
        self._count(name)
        if name == "tls-failed":
            details = {"reason_code": name}
            self._note(
                Event(action=Action.REFUSED, actor="", address=address, succeeded=False, details=details)
            )

    def _note_failure(
        self, action: Action, association: BoundedAssociation, details: Mapping[str, Any]
    ) -> None:
        self._note(
            Event(
                action=action,
                actor=calling(association),
                address=address_of(association),
                succeeded=False,
                details=details,
            )
        )

    def _hold_studies(self) -> None:
        """Keep the studies of open associations from counting as complete."""
        every_s = min(max(self._intake.shortest_quiet_time_s / 3, _HOLD_EVERY_S[0]), _HOLD_EVERY_S[1])
        while not self._stopped.wait(every_s):
            try:
                self._intake.hold(sorted(set(self._sending.values())), 3 * every_s)
            except DatabaseUnavailable as error:
                self._log.error("hold_failed", code=error.code)

    def _count(self, name: str) -> None:
        with self._counting:
            self._counts[name] += 1

"""The manager over DIMSE: Push, Pull, Watch and Query as SCP, on a port of its own.

A request names the UPS Push class whatever class the context was negotiated for (PS3.4 CC.3.1), so that one
set of handlers serves all contexts. Admission, bounds and deadlines are those of the listener.

Source: PS3.4 annex CC, PS3.7 section 10.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from agent.database.audit.record import Action, Event
from agent.foundation.errors import DatabaseUnavailable, PortUnavailable
from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import ListenerSettings
from agent.network.contexts import VERIFICATION
from agent.network.scu import SYNTAXES
from agent.network.tls import fingerprint, server_context
from agent.receive.association import BoundedAssociation
from agent.receive.door_record import association_event
from agent.receive.ledger import ConnectionLedger
from agent.receive.messages import InFlight
from agent.receive.peers import AssociationResult, Caller, PeerPolicy
from agent.receive.server import BoundedServer
from agent.receive.wire import MAXIMUM_PDU, Bounds
from agent.ups.manager import Manager, Reply
from agent.ups.requirements import misread
from agent.ups.terms import EVENT, PULL, PUSH, QUERY, WATCH, ActionType, UpsStatus
from dicom_sr.attributes import text

CLASSES = (PUSH, WATCH, PULL, QUERY)
_PENDING, _CANCELED_FIND, _NO_IDENTIFIER = 0xFF00, 0xFE00, 0xA900
_LARGEST_MESSAGE = 4_000_000  # bytes


class UpsScp:
    """Serves the worklist; `start` returns at once."""

    def __init__(
        self,
        settings: ListenerSettings,
        manager: Manager,
        *,
        on_event: Callable[[str, int], None] = lambda _uid, _kind: None,
        note: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Be ready; `settings` are the listener's with the worklist's port and AE title.

        on_event: hears the UID and the type of each event that another manager reports to us.
        note: takes audit events; it must not wait.
        """
        self._on_remote_event, self._note = on_event, note
        self._settings = settings
        self._manager = manager
        self._policy = PeerPolicy(settings)
        self._ledger = ConnectionLedger(
            settings.maximum_associations, settings.maximum_associations_per_peer, self._policy.knows_address
        )
        self._admitted: set[BoundedAssociation] = set()
        self._log = get_logger("ups")
        self._server: BoundedServer | None = None

    def start(self) -> int:
        """Listen in threads of its own and return the port.

        Raises:
            PortUnavailable: the address and port cannot be bound.
            SettingsError: the TLS files are missing or do not fit.
        """
        _config.LOG_HANDLER_LEVEL = "none"
        try:
            self._server = self._make_server()
        except OSError as error:
            where = f"{self._settings.host}:{self._settings.port}"
            raise PortUnavailable(f"{where} cannot be bound: change `ups.port`") from error
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="ups", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self, drain_s: float = 2.0) -> None:
        """Take no new associations, let requests that are being served end, then close."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        deadline = time.monotonic() + drain_s
        while any(one.busy for one in list(server.open)) and time.monotonic() < deadline:
            time.sleep(0.02)
        for association in list(server.open):
            association.abort()
        for connection in self._ledger.connections():
            connection.close()

    def _make_server(self) -> BoundedServer:
        settings = self._settings
        ae = ApplicationEntity(settings.ae_title)
        ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = MAXIMUM_PDU
        ae.network_timeout, ae.acse_timeout = settings.network_timeout_s, settings.acse_timeout_s
        server = BoundedServer(
            ae,
            (settings.host, settings.port),
            settings.ae_title,
            [build_context(uid, list(SYNTAXES)) for uid in (VERIFICATION, *CLASSES, EVENT)],
            server_context(settings.tls) if settings.tls else None,
            [
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_C_ECHO, self._on_echo),
                (evt.EVT_N_CREATE, self._on_create),
                (evt.EVT_N_SET, self._on_set),
                (evt.EVT_N_GET, self._on_get),
                (evt.EVT_N_ACTION, self._on_action),
                (evt.EVT_C_FIND, self._on_find),
                (evt.EVT_N_EVENT_REPORT, self._on_report),
            ],
            ledger=self._ledger,
            bounds=Bounds(
                pdu_timeout_s=settings.pdu_timeout_s,
                network_timeout_s=settings.network_timeout_s,
                maximum_object=_LARGEST_MESSAGE,
            ),
            in_flight=InFlight(int(settings.maximum_in_flight_mb * 1_000_000)),
            request_timeout_s=settings.acse_timeout_s,
            handshake_timeout_s=settings.tls.handshake_timeout_s if settings.tls else 0.0,
            on_event=lambda name, _address: self._log.warning("association_rejected", reason_code=name),
            on_refused=self._on_refused,
            on_end=self._admitted.discard,
        )
        ae._servers.append(server)
        return server

    def _on_refused(self, reason_code: str, address: str, calling: str, called: str) -> None:
        self._log.warning("association_rejected", reason_code=reason_code, host=address)
        self._note(
            association_event(
                Action.REFUSED,
                Caller(address=address, calling_ae_title=calling, called_ae_title=called),
                reason_code,
            )
        )

    def _on_requested(self, event: evt.Event) -> None:
        association: Any = event.assoc
        request, server = association.requestor.primitive, self._server
        if not isinstance(request, A_ASSOCIATE) or server is None or association not in server.open:
            association.is_aborted = True
            return
        connection = server.open[association]
        caller = Caller(
            address=connection.address,
            calling_ae_title=request.calling_ae_title or "",
            called_ae_title=request.called_ae_title or "",
            certificate_sha256=fingerprint(association.dul.socket.socket),
        )
        verdict = self._policy.judge(caller)
        if verdict is AssociationResult.ACCEPT and not self._ledger.establish(connection):
            verdict = AssociationResult.FULL
        if verdict is AssociationResult.ACCEPT:
            self._admitted.add(association)
            return
        self._on_refused(verdict.reason_code, caller.address, caller.calling_ae_title, caller.called_ae_title)
        association.acse.send_reject(*verdict.value)
        association.kill()

    def _on_echo(self, event: evt.Event) -> int:
        association = cast(BoundedAssociation, event.assoc)
        association.messages.served()
        return int(UpsStatus.SUCCESS if association in self._admitted else UpsStatus.NOT_AUTHORIZED)

    def _on_create(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        uid = str(cast(Any, event.request).AffectedSOPInstanceUID or "")
        return self._answer(event, lambda: self._manager.create(uid, event.attribute_list))

    def _on_set(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        return self._answer(event, lambda: self._manager.update(_uid(event), event.modification_list))

    def _on_get(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        return self._answer(
            event, lambda: self._manager.get(_uid(event), [int(tag) for tag in event.attribute_identifiers])
        )

    def _on_action(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        return self._answer(event, lambda: self._act(event))

    def _act(self, event: evt.Event) -> Reply:
        uid, caller = _uid(event), _calling(event)
        has_information = cast(Any, event.request).ActionInformation is not None
        information = event.action_information if has_information else Dataset()
        receiver = text(information, "ReceivingAE") or caller
        match event.action_type:
            case ActionType.CHANGE_STATE:
                state = text(information, "ProcedureStepState")
                return self._manager.change_state(uid, state, text(information, "TransactionUID"))
            case ActionType.REQUEST_CANCEL:
                return self._manager.request_cancel(uid, information, caller)
            case ActionType.SUBSCRIBE:
                lock = text(information, "DeletionLock").upper() == "TRUE"
                keys = filter_keys(information)
                return self._manager.subscribe(uid, receiver, deletion_lock=lock, keys=keys)
            case ActionType.UNSUBSCRIBE:
                return self._manager.unsubscribe(uid, receiver)
            case ActionType.SUSPEND_GLOBAL:
                return self._manager.suspend(uid, receiver)
        return Reply(status=UpsStatus.NO_SUCH_ACTION, uid=uid)

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        association = cast(BoundedAssociation, event.assoc)
        try:
            if association not in self._admitted:
                yield int(UpsStatus.NOT_AUTHORIZED), None
                return
            if misread(event.identifier):
                yield _NO_IDENTIFIER, None
                return
            for found in self._manager.find(event.identifier):
                if event.is_cancelled:
                    yield _CANCELED_FIND, None
                    return
                yield _PENDING, found
        except DatabaseUnavailable:
            yield 0xA700, None
        except Exception as error:  # noqa: BLE001 - outermost for a stranger's bytes: it must hear a status
            self._log.error("unexpected", error_type=type(error).__name__)
            yield 0xC000, None
        finally:
            association.messages.served()

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        """Hear an event of another manager's worklist, to which we have subscribed."""
        association = cast(BoundedAssociation, event.assoc)
        request: Any = event.request
        association.messages.served()
        if association not in self._admitted:
            return int(UpsStatus.NOT_AUTHORIZED), None
        self._on_remote_event(str(request.AffectedSOPInstanceUID or ""), int(request.EventTypeID or 0))
        return int(UpsStatus.SUCCESS), None

    def _answer(self, event: evt.Event, act: Any) -> tuple[Dataset, Dataset | None]:
        """Turn what a request leads to into its response; this is the outermost loop of a request."""
        association = cast(BoundedAssociation, event.assoc)
        try:
            reply = act() if association in self._admitted else Reply(status=UpsStatus.NOT_AUTHORIZED)
        except DatabaseUnavailable:
            reply = Reply(status=UpsStatus.RESOURCE_LIMITATION)
        except Exception as error:  # noqa: BLE001 - outermost for a stranger's bytes: it must hear a status
            self._log.error("unexpected", error_type=type(error).__name__)
            reply = Reply(status=UpsStatus.PROCESSING_FAILURE)
        finally:
            association.messages.served()
        self._log.info("ups_request", status=f"{reply.status:04X}", what=type(event.request).__name__)
        return status_of(reply), None if reply.status.failed else reply.dataset


def status_of(reply: Reply) -> Dataset:
    """Return the status of a response, with what is wrong and where (PS3.7 annex C)."""
    status = Dataset()
    status.Status = int(reply.status)
    if reply.comment:
        status.ErrorComment = reply.comment
    if reply.tags:
        status.OffendingElement = reply.tags
    return status


def filter_keys(information: Dataset) -> Dataset:
    """Return the matching keys of a filtered subscription: all that is no part of the request itself."""
    keys = Dataset()
    keys.update(
        {
            element.tag: element
            for element in information
            if element.keyword not in ("ReceivingAE", "RequestingAE", "DeletionLock", "SpecificCharacterSet")
        }
    )
    return keys


def _uid(event: evt.Event) -> str:
    return str(cast(Any, event.request).RequestedSOPInstanceUID or "")


def _calling(event: evt.Event) -> str:
    return str(event.assoc.requestor.ae_title or "").strip()

"""The common base of our SCPs: admission, limits, TLS, a record of refusals, and an orderly shutdown.

A subclass names its presentation contexts and handlers; each handler calls `served` once its message is read.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from agent.database.audit.record import CUT_OFF, NO_CONTEXT, Action, Event
from agent.foundation.errors import PortUnavailable
from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import ListenerSettings
from agent.network.tls import fingerprint, server_context
from agent.receive.association import BoundedAssociation
from agent.receive.association_events import address_of, association_event, calling, unmet_proposal
from agent.receive.ledger import ConnectionLedger
from agent.receive.messages import InFlight
from agent.receive.peers import AssociationResult, Caller, PeerPolicy
from agent.receive.server import BoundedServer
from agent.receive.wire import MAXIMUM_PDU, Bounds

MEGABYTE = 1_000_000
# The SCP whose events name no role: the one that images are sent to.
LISTENER = "listener"
_SUCCESS, _NOT_AUTHORIZED = 0x0000, 0x0124
Handlers = list[tuple[evt.EventType, Callable[[evt.Event], Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpKind:
    """An SCP's name in logs and threads, the setting of its port, and its largest message (bytes)."""

    name: str
    port_setting: str
    largest_message: int


class BoundedScp(ABC):
    """An SCP that also offers Verification; `start` returns at once, `stop` waits for arriving messages."""

    def __init__(
        self,
        settings: ListenerSettings,
        kind: ScpKind,
        *,
        prior_ae_title: str | None = None,
        backfill_ae_title: str | None = None,
        note: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Be ready.

        prior_ae_title, backfill_ae_title: other called AE titles under which associations are accepted.
        note: called with audit events; it must not block.
        """
        self._settings, self._kind = settings, kind
        self._note = note if kind.name == LISTENER else partial(_note_of, kind.name, note)
        self._policy = PeerPolicy(settings, prior_ae_title, backfill_ae_title)
        self._ledger = ConnectionLedger(
            settings.maximum_associations,
            settings.maximum_associations_per_peer,
            self._policy.knows_address,
        )
        self._in_flight = InFlight(int(settings.maximum_in_flight_mb * MEGABYTE))
        self._log = get_logger(kind.name)
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._admitted: set[BoundedAssociation] = set()
        self._server: BoundedServer | None = None
        self._draining_since: float | None = None
        self._stopped = threading.Event()

    def start(self) -> int:
        """Listen in separate threads and return the port.

        Raises:
            PortUnavailable: the address and port cannot be bound.
            SettingsError: the TLS files are missing or do not fit.
        """
        # pynetdicom formats every message and identifier for its log, even if nothing is logged.
        _config.LOG_HANDLER_LEVEL = "none"
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        settings, name = self._settings, self._kind.name
        try:
            self._server = self._make_server()
        except OSError as error:
            raise PortUnavailable(
                f"{settings.host}:{settings.port} cannot be bound: stop the other program "
                f"or change `{self._kind.port_setting}`"
            ) from error
        port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name=name, daemon=True).start()
        self._log.info("listening", host=settings.host, port=port, ae_title=settings.ae_title)
        return port

    def stop(self, drain_s: float | None = None) -> None:
        """Accept no new associations, finish the arriving messages, then close.

        After `drain_s` seconds (the setting when left out) open associations are aborted.
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
        """Return its own state: open associations, bytes arriving, and counts."""
        with self._counting:
            counts = dict(self._counts)
        return {
            "associations": self._ledger.associations(),
            "connections": len(self._ledger.connections()),
            "evicted": self._ledger.evicted,
            "in_flight_bytes": self._in_flight.total,
            "counts": counts,
        }

    @abstractmethod
    def _contexts(self) -> Sequence[PresentationContext]:
        """Return the presentation contexts that are offered."""

    @abstractmethod
    def _handlers(self) -> Handlers:
        """Return the handlers of the services besides Verification."""

    def _on_admitted(self, association: BoundedAssociation, caller: Caller) -> None:  # noqa: B027
        """Called when an association was accepted, before its contexts are negotiated."""

    def _on_ended(self, association: BoundedAssociation) -> None:  # noqa: B027
        """Called when an association has ended."""

    def _make_server(self) -> BoundedServer:
        settings = self._settings
        ae = ApplicationEntity(settings.ae_title)
        ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = MAXIMUM_PDU
        ae.network_timeout, ae.acse_timeout = settings.network_timeout_s, settings.acse_timeout_s
        own: Handlers = [(evt.EVT_REQUESTED, self._on_requested), (evt.EVT_C_ECHO, self._on_echo)]
        server = BoundedServer(
            ae,
            (settings.host, settings.port),
            settings.ae_title,
            list(self._contexts()),
            server_context(settings.tls) if settings.tls else None,
            own + self._handlers(),
            ledger=self._ledger,
            bounds=Bounds(
                pdu_timeout_s=settings.pdu_timeout_s,
                network_timeout_s=settings.network_timeout_s,
                maximum_object=self._kind.largest_message,
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
            self._on_admitted(association, caller)
            self._count("accepted")
            self._note(association_event(Action.ASSOCIATION, caller))
            return
        self._refused(verdict.reason_code, caller)
        association.acse.send_reject(*verdict.value)
        association.kill()

    def _on_refused(self, reason_code: str, address: str, calling: str, called: str) -> None:
        """Record a request that was answered before there was an association."""
        self._refused(reason_code, Caller(address=address, calling_ae_title=calling, called_ae_title=called))

    def _refused(self, reason_code: str, caller: Caller) -> None:
        self._log.warning(
            "association_rejected",
            reason_code=reason_code,
            host=caller.address,
            ae_title=caller.calling_ae_title.strip(),
        )
        self._note(association_event(Action.REFUSED, caller, reason_code))
        self._count(f"rejected-{reason_code}")

    def _on_echo(self, event: evt.Event) -> int:
        association = cast(BoundedAssociation, event.assoc)
        association.messages.served()
        self._count("echo")
        return _SUCCESS if association in self._admitted else _NOT_AUTHORIZED

    def _on_end(self, association: BoundedAssociation) -> None:
        violation = association.violation or self._cut_off(association)
        self._note_contexts(association)
        self._admitted.discard(association)
        self._on_ended(association)
        if violation is not None:
            self._log.warning(
                "association_cut",
                reason_code=violation,
                host=address_of(association),
                ae_title=calling(association),
            )
            self._note_failure(Action.FAULT, association, {"reason_code": violation})
            self._count(violation)

    def _cut_off(self, association: BoundedAssociation) -> str | None:
        """Whether the peer went away in the middle of a message."""
        stopping = self._draining_since is not None
        return CUT_OFF if association.messages.message is not None and not stopping else None

    def _note_contexts(self, association: BoundedAssociation) -> None:
        """Record an association that ended without a context for anything but C-ECHO."""
        proposal = unmet_proposal(association) if association in self._admitted else None
        if proposal is None:
            return
        self._log.warning(
            "association_without_context",
            reason_code=NO_CONTEXT,
            host=address_of(association),
            ae_title=calling(association),
        )
        self._note_failure(Action.FAULT, association, proposal)
        self._count(NO_CONTEXT)

    def _on_event(self, name: str, address: str) -> None:
        """Count a connection that did not become an association; one without the right key is recorded."""
        self._count(name)
        if name == "tls-failed":
            details = {"reason_code": name}
            self._log.warning("association_rejected", reason_code=name, host=address)
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

    def _count(self, name: str) -> None:
        with self._counting:
            self._counts[name] += 1


def _note_of(role: str, note: Callable[[Event], None], event: Event) -> None:
    """Hand an event on with the name of its SCP, whose settings are not the listener's."""
    note(replace(event, details={**event.details, "role": role}))

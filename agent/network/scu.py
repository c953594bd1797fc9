"""Outgoing associations, over TCP or TLS, with errors worded for an administrator.

Every request to another application entity (C-STORE, C-ECHO, C-FIND, storage commitment) goes through
`associated`.
"""

from __future__ import annotations

import math
import queue
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationSocket

from agent.foundation.errors import DeliveryFailed, DeliveryRefused, SettingsError
from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.foundation.settings.tree import ClientTlsSettings
from agent.network.answers import leave_answers
from agent.network.association_guard import AssociationGuard
from agent.network.timers import use_monotonic_timers
from agent.network.tls import ClientContext, client_context

use_monotonic_timers()
leave_answers()

# Larger PDUs mean fewer cycles of the state machine.
MAXIMUM_PDU = 131072
# Our documents are Explicit VR Little Endian; every archive must accept Implicit (PS3.5 10.1).
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# Results of an A-ASSOCIATE response that reject: permanent and transient (PS3.8, 7.1.1.7).
_REJECTED = (1, 2)
# Reject reasons of PS3.8 table 9-21 that an administrator can do something about: (source, reason).
_REJECTIONS = {
    (1, 3): "it does not know our AE title (`calling_ae_title`)",
    (1, 7): "it does not answer to the AE title of the settings (`ae_title`)",
    (3, 1): "it is congested",
    (3, 2): "it has too many associations",
}
NO_CONTEXT = (
    "the destination accepts no presentation context for this SOP class; "
    "choose another `findings_sop_class` or enable the class in the PACS"
)
# The state of an open association (PS3.8 table 9-10), and how often (s) a wait for an answer checks it.
_ESTABLISHED = "Sta6"
# The state after an A-ABORT, until the connection is closed.
_ABORTING = "Sta13"
_LOOK_EVERY_S = 0.25
Handlers = Sequence[tuple[evt.EventType, Callable[..., Any]]]


class Peer(Protocol):
    """Another application entity, and the AE title that we use with it; `timeout_s` limits each wait (s)."""

    @property
    def host(self) -> str:
        """Host name or address."""

    @property
    def port(self) -> int:
        """TCP port."""

    @property
    def ae_title(self) -> str:
        """Its AE title."""

    @property
    def calling_ae_title(self) -> str:
        """Ours."""

    @property
    def timeout_s(self) -> float:
        """Longest wait (s) for a connection, a handshake or an answer."""

    @property
    def tls(self) -> ClientTlsSettings | None:
        """TLS; plain TCP when None."""


class ConnectionLost(DeliveryFailed):
    """The connection to the destination broke, or it did not answer in time; the delivery is retried with
    backoff.
    """


class DestinationBusy(ConnectionLost):
    """The destination asks us to wait (HTTP 429, 503); nothing is sent there until then.

    retry_after_s: for how long (s), or None if it does not say.
    """

    def __init__(self, finding: str, retry_after_s: float | None = None) -> None:
        super().__init__(finding)
        self.retry_after_s = retry_after_s


class NoContext(DeliveryRefused):
    """The peer accepts none of the presentation contexts that we propose."""


@contextmanager
def associated(
    peer: Peer,
    sop_class_uids: Iterable[str],
    *,
    transfer_syntaxes: Sequence[str] = SYNTAXES,
    handlers: Handlers = (),
    taken: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Association]:
    """Open an association that proposes the SOP classes, and release it at the end.

    handlers: pynetdicom event handlers, for the peer's requests over the same association. taken: SOP classes
    that the peer may send us over it (C-GET), with their transfer syntaxes.

    Raises:
        NoContext: the peer accepts none of the SOP classes.
        ConnectionLost: no connection, no answer, a failed TLS handshake, or a rejection; the text says which.
    """
    secure = _tls(peer)
    association: Association | None = None
    proposed = dict.fromkeys(sorted(set(sop_class_uids)), transfer_syntaxes)
    with AssociationGuard(peer.timeout_s, host=peer.host, ae_title=peer.ae_title) as guard:
        entity = _Entity(peer.calling_ae_title, guard)
        try:
            association = _open(entity, peer, secure, handlers, proposed, taken or {})
            yield association
        finally:
            # After our own A-ABORT no answer to a release can come; the socket is closed below.
            if association is not None and association.is_established and not _aborts(association):
                association.release()
            entity.close_socket()
            if secure is not None and secure.connection is not None:
                secure.connection.close()


def _aborts(association: Association) -> bool:
    return bool(association.dul.state_machine.current_state == _ABORTING)


class _Entity(AE):
    """An application entity that states our implementation identity, and keeps track of its socket.

    pynetdicom leaves the socket of a connection that was refused or cut open, and leaves Nagle's algorithm
    on, which held each small document back for an acknowledgement.
    """

    def __init__(self, ae_title: str, guard: AssociationGuard) -> None:
        super().__init__(ae_title)
        self._guard = guard
        self._socket: socket.socket | None = None
        self.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self.implementation_version_name = IMPLEMENTATION_VERSION_NAME

    def _create_socket(self, association: Association, *arguments: Any) -> AssociationSocket:
        made = super()._create_socket(association, *arguments)
        self._socket = made.socket
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._guard.watch(association, self._socket)
        return made

    def close_socket(self) -> None:
        """Close sockets that pynetdicom may have left open."""
        if self._socket is not None:
            self._socket.close()


def _open(
    entity: _Entity,
    peer: Peer,
    secure: ClientContext | None,
    handlers: Handlers,
    proposed: Mapping[str, Sequence[str]],
    taken: Mapping[str, Sequence[str]],
) -> Association:
    entity.connection_timeout = entity.acse_timeout = peer.timeout_s
    entity.dimse_timeout = entity.network_timeout = peer.timeout_s
    for uid, syntaxes in {**proposed, **taken}.items():
        entity.add_requested_context(uid, list(syntaxes))
    name = (peer.tls.server_name if peer.tls is not None else None) or peer.host

    def limit_reads(event: evt.Event) -> None:
        # pynetdicom waits without limit for the rest of a PDU.
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            transport.socket.settimeout(peer.timeout_s)

    try:
        association = entity.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            max_pdu=MAXIMUM_PDU,
            ext_neg=[build_role(uid, scp_role=True) for uid in taken],
            tls_args=None if secure is None else (secure, name),
            evt_handlers=[(evt.EVT_CONN_OPEN, limit_reads), *handlers],
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConnectionLost("the destination's host name cannot be resolved") from error
    if association.is_established:
        _wait_while_open(association)
        return association
    raise _failure(association, secure)


def _wait_while_open(association: Association) -> None:
    """Wait for an answer only while one can arrive.

    Without this, a peer that requests a release or breaks the protocol instead of answering would be waited
    for until the timeout.
    """
    provider, state = association.dimse, association.dul.state_machine
    take = provider.get_msg

    def wait() -> Any:
        longest_s = provider.dimse_timeout
        until = time.monotonic() + (math.inf if longest_s is None else longest_s)
        while True:
            # Read before the queue, which then contains whatever arrived last.
            open_ = state.current_state == _ESTABLISHED and association.dul.is_alive()
            rest_s = max(0.0, until - time.monotonic()) if open_ else 0.0
            try:
                return provider.msg_queue.get(timeout=min(_LOOK_EVERY_S, rest_s))
            except queue.Empty:
                if not rest_s:
                    return None, None

    def get_msg(block: bool = False) -> Any:
        return wait() if block else take(False)

    provider.get_msg = get_msg  # type: ignore[method-assign]


def _tls(peer: Peer) -> ClientContext | None:
    try:
        return client_context(peer.tls) if peer.tls is not None else None
    except SettingsError as error:  # the files were valid at the start: they are being changed
        raise ConnectionLost(str(error)) from error


def _failure(association: Association, secure: ClientContext | None) -> DeliveryFailed | DeliveryRefused:
    """Return why there is no association."""
    answer = association.acceptor.primitive
    rejection = answer if association.is_rejected else _unread_rejection(association)
    if rejection is not None:
        key = (getattr(rejection, "result_source", 0), getattr(rejection, "diagnostic", 0))
        why = _REJECTIONS.get(key, f"source and reason {key}")
        return ConnectionLost(f"the destination rejects the association: {why}")
    if answer is not None and answer.result == 0x00:
        return NoContext(NO_CONTEXT)
    if secure is not None and secure.failure is not None:
        return ConnectionLost(f"the TLS handshake with the destination failed: {_handshake(secure.failure)}")
    return ConnectionLost("the destination cannot be reached: no connection, or no answer in time")


def _unread_rejection(association: Association) -> A_ASSOCIATE | None:
    """Return the rejection that pynetdicom has received but not read, if there is one.

    A rejection also closes the connection. When that happens before the requesting thread goes on, which it
    may on a busy machine, pynetdicom believes that there was never a connection.
    """
    try:
        first: object = association.dul.to_user_queue.get_nowait()
    except queue.Empty:
        return None
    return first if isinstance(first, A_ASSOCIATE) and first.result in _REJECTED else None


def _handshake(error: ssl.SSLError) -> str:
    """Return what went wrong, and what to correct; only the library's codes and fixed texts are quoted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if "ostname mismatch" in error.verify_message or "IP address mismatch" in error.verify_message:
            return (
                "its certificate is issued for another name (`tls.server_name`, or `tls.verify_host: false`)"
            )
        return f"its certificate is not trusted, {error.verify_message} (`tls.authorities`)"
    reason = (error.reason or "no reason given").lower().replace("_", " ")
    if "alert" in reason:
        return f"it refuses us, {reason} (`tls.certificate` and `tls.key`)"
    if "wrong version number" in reason or "record layer failure" in reason:
        return "it does not speak TLS at this port"
    return reason

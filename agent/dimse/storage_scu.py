"""Our side as a sender: one association, several documents, each sent as the bytes that were stored."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket

from agent.dimse.statuses import Verdict, store_status
from agent.errors import DeliveryFailed, DeliveryRefused
from agent.settings import DestinationSettings

# Larger PDUs mean fewer turns of the state machine.
MAXIMUM_PDU = 131072
# Documents are Explicit VR Little Endian; Implicit is what every archive must take (PS3.5 10.1).
_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# Reject reasons of PS3.8 table 9-21 that an administrator can do something about: (source, reason).
_REJECTIONS = {
    (1, 3): "it does not know our AE title (`calling_ae_title`)",
    (1, 7): "it does not answer to the AE title of the settings (`ae_title`)",
    (3, 1): "it is congested",
    (3, 2): "it has too many associations",
}
_NO_CONTEXT = (
    "the destination accepts no presentation context for this SOP class; "
    "choose another `findings_sop_class` or enable the class in the PACS"
)


class Sendable(Protocol):
    """A document to send; `content` is a Part 10 file in Explicit VR Little Endian."""

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID."""

    @property
    def content(self) -> bytes:
        """The file."""


class Connection(Protocol):
    """A way to one destination, open."""

    def store(self, document: Sendable) -> str:
        """Send one document and return the meaning of the answer.

        Raises:
            DeliveryRefused: it will never take this document.
            DeliveryFailed: it did not take it this time.
            ConnectionLost: nothing more can be sent over this connection.
        """


class ConnectionLost(DeliveryFailed):
    """The destination broke off, or did not answer in time; the delivery is retried with backoff."""


class StorageConnection:
    """An established association."""

    def __init__(self, association: Association) -> None:
        self._association = association

    def store(self, document: Sendable) -> str:
        """Send one document (C-STORE) and return the meaning of the answer.

        Raises:
            DeliveryRefused: no context was accepted for its SOP class, or the status is final.
            DeliveryFailed: any other status than success.
            ConnectionLost: the association was aborted, or there was no answer in time.
        """
        if not self._association.is_established:
            raise ConnectionLost("the destination closed the association before the document was sent")
        accepted = [
            context
            for context in self._association.accepted_contexts
            if context.abstract_syntax == document.sop_class_uid
        ]
        if not accepted:
            raise DeliveryRefused(_NO_CONTEXT)
        # Elements that nobody touches are written as they were read, so that the bytes stay the same.
        dataset = dcmread(io.BytesIO(document.content))
        try:
            answer = self._association.send_c_store(dataset)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConnectionLost("the association broke while the document was being sent") from error
        if "Status" not in answer:
            raise ConnectionLost("the destination aborted the association, or did not answer in time")
        status = store_status(int(answer.Status))
        words = f"0x{int(answer.Status):04X}, {status.meaning}"
        if status.verdict is Verdict.NEVER:
            raise DeliveryRefused(f"the destination answered {words}")
        if status.verdict is Verdict.AGAIN:
            raise DeliveryFailed(f"the destination answered {words}")
        return words


@contextmanager
def open_connection(
    destination: DestinationSettings, sop_class_uids: Iterable[str]
) -> Iterator[StorageConnection]:
    """Open an association that proposes the SOP classes, and release it at the end.

    Raises:
        DeliveryRefused: the destination accepts none of the SOP classes.
        ConnectionLost: no connection, no answer, or a rejection; the text says which.
    """
    association = _associate(destination, sorted(set(sop_class_uids)))
    try:
        yield StorageConnection(association)
    finally:
        if association.is_established:
            association.release()


def echo(destination: DestinationSettings) -> None:
    """Ask whether the destination is there (C-ECHO).

    Raises:
        ConnectionLost: it is not; the text says why.
    """
    association = _associate(destination, [Verification])
    try:
        answer = association.send_c_echo()
        if "Status" not in answer or answer.Status != 0x0000:
            raise ConnectionLost("the destination did not answer the verification (C-ECHO) with success")
    except (RuntimeError, ValueError) as error:
        raise ConnectionLost("the destination does not offer verification (C-ECHO)") from error
    finally:
        if association.is_established:
            association.release()


class _Entity(AE):
    """An application entity that holds on to its socket.

    pynetdicom leaves the socket of a refused connection open, and leaves Nagle's algorithm on, which held
    each small document back for an acknowledgement.
    """

    _socket: socket.socket | None = None

    def _create_socket(self, *arguments: Any) -> AssociationSocket:
        made = super()._create_socket(*arguments)
        self._socket = made.socket
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def close_socket(self) -> None:
        """Close what pynetdicom may have left open."""
        if self._socket is not None:
            self._socket.close()


def _associate(destination: DestinationSettings, sop_class_uids: list[str]) -> Association:
    entity = _Entity(ae_title=destination.calling_ae_title)
    entity.connection_timeout = entity.acse_timeout = destination.timeout_s
    entity.dimse_timeout = entity.network_timeout = destination.timeout_s
    for uid in sop_class_uids:
        entity.add_requested_context(uid, list(_SYNTAXES))
    try:
        association = entity.associate(
            destination.host,
            destination.port,
            ae_title=destination.ae_title,
            max_pdu=MAXIMUM_PDU,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConnectionLost("the destination's host name cannot be resolved") from error
    if association.is_established:
        return association
    entity.close_socket()
    answer = association.acceptor.primitive
    if association.is_rejected:
        key = (getattr(answer, "result_source", 0), getattr(answer, "diagnostic", 0))
        why = _REJECTIONS.get(key, f"source and reason {key}")
        raise ConnectionLost(f"the destination rejects the association: {why}")
    if answer is not None and answer.result == 0x00:
        raise DeliveryRefused(_NO_CONTEXT)
    raise ConnectionLost("the destination cannot be reached: no connection, or no answer in time")

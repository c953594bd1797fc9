"""Our Storage SCU: several documents over one association, each sent as the bytes that were stored."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pydicom import dcmread
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.network.scu import NO_CONTEXT, NoContext, Peer, associated
from agent.network.scu import ConnectionLost as ConnectionLost
from agent.network.statuses import StoreOutcome, store_status


class Sendable(Protocol):
    """A document to send; `content` is a Part 10 file in Explicit VR Little Endian."""

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID."""

    @property
    def content(self) -> bytes:
        """The file."""


class Connection(Protocol):
    """An open connection to one destination."""

    def store(self, document: Sendable) -> str | None:
        """Send one document; return the warning that it was stored with, None for plain success.

        Raises:
            DeliveryRefused: it will never take this document.
            DeliveryFailed: it did not take it this time.
            ConnectionLost: nothing more can be sent over this connection.
        """


class StorageConnection:
    """An established association."""

    def __init__(self, association: Association) -> None:
        self._association = association

    def store(self, document: Sendable) -> str | None:
        """Send one document (C-STORE); return the warning that it was stored with, None for plain success.

        Raises:
            DeliveryRefused: no context was accepted for its SOP class, or the status is final.
            DeliveryFailed: any other status that is neither success nor a warning.
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
            raise DeliveryRefused(NO_CONTEXT)
        # Elements that are not accessed are written as they were read, so that the bytes stay the same.
        dataset = dcmread(io.BytesIO(document.content))
        try:
            answer = self._association.send_c_store(dataset)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConnectionLost("the association broke while the document was being sent") from error
        if "Status" not in answer:
            raise ConnectionLost("the destination aborted the association, or did not answer in time")
        status = store_status(int(answer.Status))
        words = f"0x{int(answer.Status):04X}, {status.meaning}"
        if status.verdict is StoreOutcome.NEVER:
            raise DeliveryRefused(f"the destination answered {words}")
        if status.verdict is StoreOutcome.AGAIN:
            raise DeliveryFailed(f"the destination answered {words}")
        return words if status.verdict is StoreOutcome.WARNED else None


@contextmanager
def open_connection(destination: Peer, sop_class_uids: Iterable[str]) -> Iterator[StorageConnection]:
    """Open an association that proposes the SOP classes, and release it at the end.

    Raises:
        DeliveryRefused: the destination accepts none of the SOP classes.
        ConnectionLost: no connection, no answer, or a rejection; the text says which.
    """
    with associated(destination, sop_class_uids) as association:
        yield StorageConnection(association)


def echo(destination: Peer) -> None:
    """Check whether the destination answers (C-ECHO).

    Raises:
        ConnectionLost: it does not; the text says why.
    """
    try:
        with associated(destination, [Verification]) as association:
            answer = association.send_c_echo()
    except NoContext as error:
        raise ConnectionLost("the destination does not offer verification (C-ECHO)") from error
    except (RuntimeError, ValueError) as error:
        raise ConnectionLost("the association broke during the verification (C-ECHO)") from error
    if "Status" not in answer or answer.Status != 0x0000:
        raise ConnectionLost("the destination did not answer the verification (C-ECHO) with success")

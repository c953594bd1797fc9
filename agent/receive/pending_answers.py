"""Many answers to one C-FIND: encoded once, and sent several at a time.

pynetdicom builds each answer's command set anew and hands two PDUs per answer from thread to thread; with
both threads busy every handover takes milliseconds.

Source: PS3.7 9.1.2 (C-FIND service), 9.3.2 (its messages), PS3.8 9.3.5 and annex E (P-DATA-TF, fragments).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from pynetdicom import evt
from pynetdicom.dimse_messages import C_FIND_RSP
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode

from agent.receive.association import BoundedAssociation
from agent.receive.upper_layer import EncodedData

_PENDING = 0xFF00
_PDU = struct.Struct(">BxLLBB")
_DATA = 0x04
_COMMAND, _LAST = 0x01, 0x02
# The part of a PDU before the fragment: the PDU's header and the header of its single value.
_VALUE_HEADER = 6
# The first answer goes out at once, then this many at a time.
_AT_ONCE = 16
# An association that has ended is noticed this often (s).
_LONGEST_WAIT_S = 0.25


class PendingAnswers:
    """The answers to one request, before the final one, which is pynetdicom's."""

    def __init__(self, association: BoundedAssociation, event: evt.Event) -> None:
        """event: the C-FIND request."""
        self._association, self._context_id = association, int(event.context.context_id)
        self._longest = int(association.dimse.maximum_pdu_size)
        self._command = b"".join(self._pdus(_command_of(event.request), _COMMAND))
        self._waiting: list[bytes] = []
        self._at_once = 1
        self._before: EncodedData | None = None
        # The peer has gone away: no answer is needed.
        self.ended = False

    def add(self, identifier: bytes) -> None:
        """Add an answer; now and then all added answers are sent."""
        self._waiting += (self._command, *self._pdus(identifier, 0))
        self._at_once -= 1
        if self._at_once == 0:
            self.flush()

    def flush(self) -> None:
        """Hand over the added answers, waiting for a peer that reads slowly, so that no more accumulates
        for it.
        """
        before = self._before
        while before is not None and not before.wait(_LONGEST_WAIT_S):
            if not self._association.dul.is_alive():
                self.ended = True
                break
        self.ended = self.ended or (before is not None and before.lost)
        if self._waiting and not self.ended:
            self._before = EncodedData(b"".join(self._waiting))
            self._association.dul.send_pdu(self._before)
        self._waiting.clear()
        self._at_once = _AT_ONCE

    def _pdus(self, encoded: bytes, kind: int) -> Iterator[bytes]:
        """A command set or a data set as PDUs of at most the length that the peer accepts (0: any length)."""
        size = max(1, self._longest - _VALUE_HEADER) if self._longest else len(encoded)
        for at in range(0, len(encoded), size):
            part = encoded[at : at + size]
            control = kind | (_LAST if at + size >= len(encoded) else 0)
            head = _PDU.pack(_DATA, len(part) + _VALUE_HEADER, len(part) + 2, self._context_id, control)
            yield head + part


def _command_of(request: Any) -> bytes:
    """The command set of every pending answer."""
    answer = C_FIND()
    answer.MessageID = answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.AffectedSOPClassUID
    answer.Status = _PENDING
    answer.Identifier = BytesIO(b"\0\0")  # indicates that a data set follows
    message = C_FIND_RSP()
    message.primitive_to_message(answer)
    return encode(message.command_set, True, True) or b""

"""Assembles messages within limits on the size of one object, and on all arriving objects together.

An object that is too large on its own ends its association. One that exceeds the common limit is not kept:
its bytes are dropped as they arrive, and its sender is told to retry later.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from io import BytesIO

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from agent.receive.wire import Bounds

# Commands are a few hundred bytes; more than this (bytes) is an attack.
_MAXIMUM_COMMAND = 65536
# No asynchronous operations are negotiated; a peer that does not wait for answers is disconnected.
_MAXIMUM_UNSERVED = 8


class InFlight:
    """The bytes of all objects that are arriving, over all associations."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._sum = 0

    def take(self, count: int) -> bool:
        """Reserve bytes, or return False: they would be too many."""
        with self._lock:
            if self._sum + count > self._maximum:
                return False
            self._sum += count
            return True

    def give_back(self, count: int) -> None:
        """Release reserved bytes."""
        with self._lock:
            self._sum -= count

    @property
    def total(self) -> int:
        """Bytes reserved at this moment."""
        with self._lock:
            return self._sum


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """A message that has arrived: the bytes that it has reserved, and whether its dataset was dropped."""

    reserved: int
    dropped: bool


class BoundedMessages(DIMSEServiceProvider):
    """Assembles messages within the bounds."""

    def __init__(self, assoc: Association, bounds: Bounds, in_flight: InFlight) -> None:
        super().__init__(assoc)
        self._bounds = bounds
        self._in_flight = in_flight
        # Of the message that is arriving: bytes so far, of these reserved, and whether they are dropped.
        self._received = 0
        self._arriving = 0
        self._dropping = False
        # Each whole message that was not served yet, in order.
        self._unserved: deque[_Whole] = deque()
        self.violation: str | None = None
        # When (monotonic seconds) the latest message began to arrive.
        self.began_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether a message is arriving or waits for its answer."""
        return self.message is not None or bool(self._unserved)

    @property
    def dropped(self) -> bool:
        """Whether the dataset of the message that is being served was dropped, for want of room."""
        return bool(self._unserved) and self._unserved[0].dropped

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add a P-DATA primitive to the message, unless it would grow too large."""
        if self.message is None:
            self.began_at = time.monotonic()
            self._received, self._dropping = 0, False
        count = sum(len(value) for _, value in primitive.presentation_data_value_list)
        violation = self._violated_by(count)
        if violation is not None:
            self.violation = violation
            self._forget()
            # As a PDU that cannot be processed: the state machine sends an A-ABORT (PS3.8 9.2, Evt19);
            # then as if the peer had closed, because a flood would never let it wait for that.
            self.dul.event_queue.put("Evt19")
            self.dul.event_queue.put("Evt17")
            return
        self._received += count
        if self._dropping or not self._in_flight.take(count):
            self._drop(primitive)
        else:
            self._arriving += count
        # Before the base class hands the whole message on, because it is served in another thread.
        self._unserved.append(_Whole(reserved=self._arriving, dropped=self._dropping))
        super().receive_primitive(primitive)
        if self.message is None:
            self._arriving = 0
        else:
            self._unserved.pop()

    def served(self) -> None:
        """Release the bytes reserved for the message that was just answered."""
        if self._unserved:
            self._in_flight.give_back(self._unserved.popleft().reserved)

    def end(self) -> None:
        """Release everything at the end of the association."""
        self._in_flight.give_back(self._arriving + sum(one.reserved for one in self._unserved))
        self._arriving = 0
        self._unserved.clear()
        self._forget()
        while not self.msg_queue.empty():
            self.get_msg()

    def _forget(self) -> None:
        """Free the dataset of a message that will not be served.

        An association refers to itself by its parts: the bytes would stay until the garbage collector runs,
        in spite of the limit on all arriving objects.
        """
        if self.message is not None:
            self.message.data_set = BytesIO()

    def _violated_by(self, count: int) -> str | None:
        message = self.message
        if message is not None and message.encoded_command_set.tell() > _MAXIMUM_COMMAND:
            return "command-too-long"
        if len(self._unserved) > _MAXIMUM_UNSERVED:
            return "too-many-unanswered"
        return "object-too-large" if self._received + count > self._bounds.maximum_object else None

    def _drop(self, primitive: P_DATA) -> None:
        """Keep the command, which the answer needs, and nothing of the dataset."""
        self._in_flight.give_back(self._arriving)
        self._arriving, self._dropping = 0, True
        if self.message is not None:
            self.message.data_set = BytesIO()
        # The control header's lowest bit marks a command; its second bit, which is kept, the last fragment.
        primitive._presentation_data_value_list = [
            (context_id, value if value[0] & 1 else value[:1])
            for context_id, value in primitive.presentation_data_value_list
        ]

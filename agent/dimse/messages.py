"""Assembling messages with bounds: on one object's size, and on all objects' that are arriving."""

from __future__ import annotations

import threading
import time
from collections import deque

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from agent.dimse.wire import Bounds

# Commands are a few hundred bytes; more than this (bytes) is an attack.
_MAXIMUM_COMMAND = 65536
# No asynchronous operations are negotiated; a peer that sends on without waiting is cut.
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


class BoundedMessages(DIMSEServiceProvider):
    """Assembles messages; what grows beyond its own bound, or all objects' bound, ends the association."""

    def __init__(self, assoc: Association, bounds: Bounds, in_flight: InFlight) -> None:
        super().__init__(assoc)
        self._bounds = bounds
        self._in_flight = in_flight
        self._arriving = 0
        # Bytes of each whole message that was not served yet, in order.
        self._unserved: deque[int] = deque()
        self.violation: str | None = None
        # When (monotonic seconds) the latest message began to arrive.
        self.began_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether a message is arriving or waits for its answer."""
        return self.message is not None or bool(self._unserved)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add a P-DATA primitive to the message, unless it would grow too large."""
        if self.message is None:
            self.began_at = time.monotonic()
        count = sum(len(value) for _, value in primitive.presentation_data_value_list)
        violation = self._violated_by(count)
        if violation is not None:
            self.violation = violation
            # As a PDU that cannot be processed: the state machine sends an A-ABORT (PS3.8 9.2, Evt19);
            # then as if the peer had closed, because a flood would never let it wait for that.
            self.dul.event_queue.put("Evt19")
            self.dul.event_queue.put("Evt17")
            return
        self._arriving += count
        # Before the base class hands the whole message on, because it is served in another thread.
        self._unserved.append(self._arriving)
        super().receive_primitive(primitive)
        if self.message is None:
            self._arriving = 0
        else:
            self._unserved.pop()

    def served(self) -> None:
        """Give back what the message that was just answered had reserved."""
        if self._unserved:
            self._in_flight.give_back(self._unserved.popleft())

    def end(self) -> None:
        """Give back everything at the association's end."""
        self._in_flight.give_back(self._arriving + sum(self._unserved))
        self._arriving = 0
        self._unserved.clear()

    def _violated_by(self, count: int) -> str | None:
        message = self.message
        if message is not None and message.encoded_command_set.tell() > _MAXIMUM_COMMAND:
            return "command-too-long"
        if len(self._unserved) > _MAXIMUM_UNSERVED:
            return "too-many-unanswered"
        if self._arriving + count > self._bounds.maximum_object:
            return "object-too-large"
        return None if self._in_flight.take(count) else "too-much-in-flight"

"""pynetdicom's upper layer, event-driven and bounded.

The base class polls every millisecond in each of two threads per association, which is most of the work
that 25 associations make. Here the upper layer sleeps until its socket or its user has something. The
declared length of a PDU is checked before it is read, and pixel data is handed on without a copy.
Source: PS3.8 section 9.2 (state machine), 9.3.5 (P-DATA-TF).
"""

from __future__ import annotations

import os
import queue
import select
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu_primitives import P_DATA

from agent.network.timers import MonotonicTimer
from agent.receive.association_request import abort_pdu
from agent.receive.wire import DATA, HEADER, BoundedSocket, Bounds, longest

_KNOWN_PDUS = frozenset(range(0x01, 0x08))
_VALUE_HEADER = struct.Struct(">LB")
# The states in which data is sent: open, and open until the peer's release is answered (PS3.8 table 9-10).
_SENDING = ("Sta6", "Sta8")
# The action for a PDU that is unknown, malformed, or not allowed in this state: an A-ABORT (PS3.8 table 9-7).
_UNEXPECTED = "AA-8"
# Timers are checked this often (ms) when nothing else happens.
_LONGEST_SLEEP_MS = 250
# How long (s) a peer that is disconnected may take to accept the ten bytes of an A-ABORT.
_ABORT_TIMEOUT_S = 1.0


class SignallingQueue(queue.Queue[Any]):
    """A queue that signals when something was put into it."""

    def __init__(self, signal: Callable[[], None]) -> None:
        super().__init__()
        self._signal = signal

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put, then signal."""
        super().put(item, block, timeout)
        self._signal()


class Wake:
    """Something that a poll() can wait for and another thread can set."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def set(self) -> None:
        """Wake the sleeper; after `close` nothing happens."""
        with self._lock:
            if self.descriptor >= 0:
                os.eventfd_write(self.descriptor, 1)

    def clear(self) -> None:
        """Let the next poll() wait again."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return  # it was not set

    def close(self) -> None:
        """Close the descriptor."""
        with self._lock:
            os.close(self.descriptor)
            self.descriptor = -1


class DataPdu:
    """A P-DATA-TF PDU whose values are views of the received bytes, which hold until the next PDU is read."""

    def __init__(self, body: memoryview) -> None:
        """Split the body into its values.

        Raises:
            ValueError: the values do not fill the body exactly.
        """
        self._values: list[Any] = []
        at = 0
        while at < len(body):
            if len(body) - at < _VALUE_HEADER.size + 1:
                raise ValueError("a presentation data value is cut off")
            length, context_id = _VALUE_HEADER.unpack_from(body, at)
            end = at + 4 + length
            if length < 2 or end > len(body):
                raise ValueError("a presentation data value has an impossible length")
            self._values.append((context_id, body[at + _VALUE_HEADER.size : end]))
            at = end

    def to_primitive(self) -> P_DATA:
        """Return the service primitive that the state machine hands to the message provider."""
        primitive = P_DATA()
        # Bypasses the setter, which accepts only copies.
        primitive._presentation_data_value_list = self._values
        return primitive


class EncodedData(P_DATA):
    """Complete P-DATA-TF PDUs that are already encoded; `lost`: the peer had gone away."""

    def __init__(self, pdus: bytes) -> None:
        super().__init__()
        self.pdus = pdus
        self.lost = False
        self._finished = threading.Event()

    def finish(self, *, lost: bool) -> None:
        """Wake the waiting thread."""
        self.lost = lost
        self._finished.set()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it was handed to the connection, or dropped, within the time."""
        return self._finished.wait(timeout_s)


class BoundedUpperLayer(DULServiceProvider):
    """The upper layer's reactor; a PDU that declares too much, or is late, ends the connection unread."""

    def __init__(self, assoc: Association, bounds: Bounds, on_primitive: Callable[[], None]) -> None:
        super().__init__(assoc)
        self.daemon = True
        self._idle_timer, self.artim_timer = MonotonicTimer(60), MonotonicTimer(30)
        self._bounds = bounds
        self._wake = Wake()
        self.to_provider_queue = SignallingQueue(self._wake.set)
        self.to_user_queue = SignallingQueue(on_primitive)
        self.violation: str | None = None

    def run_reactor(self) -> None:
        """Run until the connection ends."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            while not self._kill_thread:
                self._turn()
        except Exception:  # noqa: BLE001 - outermost: the state machine raises on sequences unknown to it
            self.violation = self.violation or "protocol-error"
            if self.socket is not None:
                self._send_abort()
                self.socket.close()
        finally:
            self._kill_thread = True
            self._wake.close()

    def kill_dul(self) -> None:
        """End the reactor."""
        super().kill_dul()
        self._wake.set()

    def stop_dul(self) -> bool:
        """End the reactor if the connection is idle; whether it was."""
        if self.state_machine.current_state == "Sta1":
            self.kill_dul()
        return super().stop_dul()

    def _turn(self) -> None:
        """Handle one event, or sleep until there is one."""
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        # One at a time: a data PDU's bytes are valid only until the next is read.
        read = (
            self.event_queue.empty()
            and not (self.to_provider_queue.queue and self._process_recv_primitive())
            and self._is_transport_event()
        )
        if read:
            self._idle_timer.restart()
        try:
            event = self.event_queue.get(block=False)
        except queue.Empty:
            if not read:
                self._sleep()
        else:
            if TRANSITION_TABLE.get((event, self.state_machine.current_state)) == _UNEXPECTED:
                self.violation = self.violation or "protocol-error"
            self.state_machine.do_action(event)

    def _process_recv_primitive(self) -> bool:
        """Send what is already encoded; pass anything else to the state machine.

        Data for a peer that has gone away is dropped: the state machine has no such event.
        """
        waiting: Sequence[Any] = self.to_provider_queue.queue
        while waiting and isinstance(waiting[0], P_DATA):
            data, open_ = waiting[0], self.state_machine.current_state in _SENDING
            if open_ and not isinstance(data, EncodedData):
                break
            self.to_provider_queue.get(block=False)
            if isinstance(data, EncodedData):
                if open_ and self.socket is not None:
                    self.socket.send(data.pdus)
                data.finish(lost=not open_)
        return super()._process_recv_primitive()

    def _sleep(self) -> None:
        poll = select.poll()
        poll.register(self._wake.descriptor, select.POLLIN)
        connection = self.socket.socket if self.socket is not None else None
        if connection is not None and connection.fileno() >= 0:
            poll.register(connection, select.POLLIN)
        poll.poll(_LONGEST_SLEEP_MS)
        self._wake.clear()

    def _read_pdu_data(self) -> None:
        """Read a PDU, its header first."""
        connection = self.socket
        if not isinstance(connection, BoundedSocket):
            return
        try:
            header = connection.recv(HEADER.size)
            if len(header) < HEADER.size:
                self.event_queue.put("Evt17")
                return
            kind, length = HEADER.unpack(header)
            if kind in _KNOWN_PDUS and length > longest(kind):
                self._send_abort()
                self._cut("pdu-too-long")
            elif kind == DATA:
                self._take_data(connection.recv_data(length), length)
            else:
                connection.unread(HEADER.size)
                super()._read_pdu_data()
        except OSError:
            self._cut(None)
        if connection.timed_out:
            self.violation = "pdu-timeout"
            self._send_abort()

    def _take_data(self, body: memoryview, length: int) -> None:
        if len(body) < length:
            self.event_queue.put("Evt17")
            return
        try:
            pdu = DataPdu(body)
        except ValueError:
            self.event_queue.put("Evt19")
            return
        if self.state_machine.current_state == "Sta6":
            # The same as action DT-2, staying in Sta6: this happens 80 times for a film of 10 MB.
            self.assoc.dimse.receive_primitive(pdu.to_primitive())
        else:
            self._recv_pdu.put(pdu)  # type: ignore[arg-type]
            self.event_queue.put("Evt10")

    def _send_abort(self) -> None:
        """Tell the peer why the connection ends; if it does not listen, the connection is closed
        nevertheless.
        """
        connection = self.socket.socket if self.socket is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.settimeout(_ABORT_TIMEOUT_S)
                connection.sendall(abort_pdu())

    def _cut(self, violation: str | None) -> None:
        self.violation = violation
        self.event_queue.put("Evt17")

"""The connection to a destination of kind `hl7`: sends stored messages unchanged and waits for the answers.

An answer counts only if it names the message's control ID; a late answer to an earlier one is ignored.
Silence, a broken connection and a rejection (AR, CR) are retried with the same bytes; an error (AE, CE) is
final, because the same bytes would be refused again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic

from agent.foundation.errors import DeliveryFailed, DeliveryRefused, MessageUnreadable
from agent.foundation.failpoints import failpoint
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.messages.hl7.acknowledge import (
    Acknowledgement,
    AcknowledgmentCode,
    acknowledge,
    read_acknowledgement,
    without,
)
from agent.messages.hl7.framing import FrameReader, framed
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse
from agent.network.scu import ConnectionLost
from agent.network.store_scu import Sendable
from agent.network.tcp_client import connect

_LONGEST_ANSWER = 1_000_000
_FINAL = (AcknowledgmentCode.ERROR, AcknowledgmentCode.COMMIT_ERROR)
_AGAIN = (AcknowledgmentCode.REJECTED, AcknowledgmentCode.COMMIT_REJECTED)


class MllpConnection:
    """An open connection. wanted: the mode of acknowledgement (`hl7.acknowledgement`)."""

    def __init__(self, connection: socket.socket, wanted: str, timeout_s: float) -> None:
        self._connection = connection
        self._wanted = wanted
        self._timeout_s = timeout_s
        self._reader = FrameReader(_LONGEST_ANSWER)
        self._answers: list[bytes] = []
        self._other_answer = self._committed = False

    def store(self, document: Sendable) -> str | None:
        """Send one message; return None once it is accepted.

        Raises:
            DeliveryRefused: AE or CE, with the peer's reason.
            DeliveryFailed: AR or CR.
            ConnectionLost: no answer in time, or the connection broke.
        """
        message = parse(document.content)
        deadline = monotonic() + self._timeout_s
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(framed(document.content))
            failpoint("hl7.after-send")
            while True:
                answer = self._next_answer(message.control_id, deadline)
                if self._is_enough(answer, message):
                    return None
        except TimeoutError as error:
            raise ConnectionLost(self._silence()) from error
        except ssl.SSLError as error:
            # With TLS 1.3 a certificate is refused after the handshake.
            raise ConnectionLost(
                "the receiver ended TLS: check that it accepts our `tls.certificate`"
            ) from error
        except OSError as error:
            raise ConnectionLost(
                "the connection broke before the acknowledgement: see the receiver's log; it may want TLS"
            ) from error

    def _silence(self) -> str:
        """Return what happened instead of a timely acknowledgement."""
        if self._other_answer:
            return "no acknowledgement in time; what came was none of this message (MSA-2 is not its MSH-10)"
        if self._reader.begun:
            return "no acknowledgement in time; what came is no HL7 message in a frame (MLLP): check `port`"
        if self._committed:
            return (
                "the receiver committed (CA), and the application's answer did not come in time: check it, "
                "or set `hl7.acknowledgement: commit`"
            )
        return "no acknowledgement in time: see the receiver's log"

    def _is_enough(self, answer: Acknowledgement, message: Message) -> bool:
        """Judge an answer; return False if the application's answer is still to come."""
        patient = next(message.all("PID"), None)
        secrets = () if patient is None else (patient.text(3, 1), patient.text(5, 1), patient.text(5, 2))
        said = f"{answer.code.value}: {without(answer.words, *secrets)}".rstrip(": ")
        if answer.code in _FINAL:
            raise DeliveryRefused(f"the receiver answered {said}")
        if answer.code in _AGAIN:
            raise DeliveryFailed(f"the receiver answered {said}")
        # A receiver that only commits has stored it, even if an AA was expected.
        self._committed = answer.code is AcknowledgmentCode.COMMITTED
        return not self._committed or self._wanted != "enhanced"

    def _next_answer(self, control_id: str, deadline: float) -> Acknowledgement:
        while True:
            while not self._answers:
                left = deadline - monotonic()
                if left <= 0:
                    raise ConnectionLost(self._silence())
                self._connection.settimeout(left)
                data = self._connection.recv(65536)
                if not data:
                    raise ConnectionLost("the receiver closed the connection without an acknowledgement")
                try:
                    self._answers.extend(self._reader.feed(data))
                except MessageUnreadable as error:
                    raise ConnectionLost("the receiver's answer is too long") from error
            answer = self._read(self._answers.pop(0))
            if answer is not None and answer.control_id == control_id:
                return answer
            self._other_answer = True

    def _read(self, content: bytes) -> Acknowledgement | None:
        try:
            message = parse(content)
        except MessageUnreadable:
            return None
        answer = read_acknowledgement(message)
        asks = message.header.text(15).upper() in ("AL", "SU")
        if (
            answer is not None
            and answer.code
            in (AcknowledgmentCode.ACCEPTED, AcknowledgmentCode.ERROR, AcknowledgmentCode.REJECTED)
            and asks
        ):
            # In enhanced mode an application's answer is a message that must itself be acknowledged.
            self._connection.sendall(
                framed(acknowledge(message, AcknowledgmentCode.COMMITTED, at=datetime.now(UTC)))
            )
        return answer


@contextmanager
def open_mllp(destination: DestinationSettings) -> Iterator[MllpConnection]:
    """Open a connection.

    Raises:
        ConnectionLost: it cannot be reached, or TLS fails; the text says which.
    """
    settings = destination.hl7 or Hl7DestinationSettings()
    connection = connect(destination)
    try:
        yield MllpConnection(connection, settings.acknowledgement, destination.timeout_s)
    finally:
        connection.close()

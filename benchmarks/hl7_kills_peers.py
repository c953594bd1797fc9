"""The RIS of `hl7_kills`: sends each message until it is acknowledged, and stores what it receives.

It uses none of the agent's own MLLP code except the frames.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

START, END = b"\x0b", b"\x1c\r"
_ANSWER_WITHIN_S = 60.0
# Pauses between two messages of the sender, and before the receiver's answer, so that random kills hit
# something.
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as received."""

    control_id: str
    study: str
    status: str
    sha256: str


def field(message: bytes, segment: bytes, number: int) -> str:
    """Return a field of the first segment of that name; empty if there is none."""
    for line in message.split(b"\r"):
        fields = line.split(b"|")
        if fields[0] == segment:
            at = number - 1 if segment == b"MSH" else number
            return fields[at].decode() if at < len(fields) else ""
    return ""


class Sender(threading.Thread):
    """Sends one message after the other, each until an answer names it; `sent` counts every try.

    enough: once set, the current message is the last one.
    """

    def __init__(self, port: int, messages: Iterator[bytes]) -> None:
        super().__init__(name="sender", daemon=True)
        self._port, self._messages = port, messages
        self.enough = threading.Event()
        self.acknowledged: list[str] = []
        self.sent = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Send until `enough` is set."""
        for message in self._messages:
            while not self._try(message):
                time.sleep(0.05)
            self.acknowledged.append(field(message, b"MSH", 10))
            if self.enough.wait(_PAUSE_S):
                return

    def _try(self, message: bytes) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as connection:
            connection.settimeout(_ANSWER_WITHIN_S)
            connection.sendall(START + message + END)
            self.sent += 1
            answer = _frame(connection)
            code, named = field(answer, b"MSA", 1), field(answer, b"MSA", 2)
            if answer and (code, named) != ("AA", field(message, b"MSH", 10)):
                self.wrong.append(f"{code} {named}")
            return bool(answer) and code == "AA"
        return False


def _frame(connection: socket.socket) -> bytes:
    """Return the content of the next frame; nothing if the connection ends first."""
    read = b""
    while not read.endswith(END):
        data = connection.recv(65536)
        if not data:
            return b""
        read += data
    return read.strip(START + END)


class Receiver:
    """Stores every message and answers it, CA and then AA; the sender handles broken connections."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, name="receiver", daemon=True).start()

    def close(self) -> None:
        """End."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _peer = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while message := _frame(connection):
                self.received.append(
                    Received(
                        control_id=field(message, b"MSH", 10),
                        study=field(message, b"OBX", 5),
                        status=field(message, b"OBR", 25),
                        sha256=hashlib.sha256(message).hexdigest(),
                    )
                )
                for code in ("CA", "AA"):
                    time.sleep(_PAUSE_S / 2)
                    connection.sendall(START + _answer(message, code) + END)


def _answer(message: bytes, code: str) -> bytes:
    named = field(message, b"MSH", 10)
    head = f"MSH|^~\\&|RIS||ECHO_AGENT||20260102||ACK|{code}{named}|P|2.5.1"
    return f"{head}\rMSA|{code}|{named}\r".encode()

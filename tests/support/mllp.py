"""A system that sends HL7 over MLLP with plain sockets, and one that receives; for tests."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from agent.messages.hl7.framing import FrameReader, framed

Answer = Callable[[bytes], list[bytes]]


def ask(port: int, *messages: bytes, count: int = 1, context: ssl.SSLContext | None = None) -> list[bytes]:
    """Send messages over one connection; return `count` answers, or fewer if the other side closes first."""
    with socket.create_connection(("127.0.0.1", port), 30) as plain:
        end = plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1")
        with end:
            for one in messages:
                end.sendall(framed(one))
            reader, answers = FrameReader(1_000_000), list[bytes]()
            with suppress(ConnectionError):
                while len(answers) < count and (data := end.recv(65536)):
                    answers.extend(reader.feed(data))
            return answers


class Receiver:
    """Stores what it receives; `answer` returns the answer, or nothing for silence."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.got: list[bytes] = []
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End."""
        # Closing alone does not end the accepting thread, nor free the port.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _peer = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError):
            end = plain if self._context is None else self._context.wrap_socket(plain, server_side=True)
            with end:
                reader = FrameReader(1_000_000)
                while data := end.recv(65536):
                    for message in reader.feed(data):
                        self.got.append(message)
                        for answer in self.answer(message):
                            end.sendall(framed(answer))


@contextmanager
def receiving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver while the block runs."""
    receiver = Receiver(answer, context)
    try:
        yield receiver
    finally:
        receiver.close()

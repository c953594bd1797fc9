"""A TCP server of a test that decides byte by byte what its peer gets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Serve = Callable[[socket.socket, threading.Event], None]


@contextmanager
def raw_server(serve: Serve) -> Iterator[int]:
    """Yield the port of a server that runs `serve` for each connection, in a thread of its own.

    serve: receives the connection, which is closed behind it, and an event that is set at the end. A
    connection that the peer ends also ends `serve`.
    """
    over = threading.Event()

    def served(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            serve(connection, over)

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                threading.Thread(target=served, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()

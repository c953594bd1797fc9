"""An HTTP application in its own thread, with the same limits as the server of the web page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from agent.database.audit.record import Event
from agent.foundation.errors import PortUnavailable
from agent.foundation.settings.tree import ListenerSettings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.receive.receiver import Receiver
from agent.receive.stow_rs import StowService
from agent.web.limits import MAXIMUM_HEAD, BoundedProtocol, RequestLimits

# Maximum size (bytes) of a WebSocket message.
_LONGEST_MESSAGE = 4096


class HttpServer:
    """Serves between `start` and `stop`."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        certificate: Path | str | None = None,
        key: Path | str | None = None,
        name: str = "http",
        graceful_s: int = 10,
    ) -> None:
        """graceful_s: at shutdown, requests have this long (s) to end."""
        self._where = f"{host}:{port}"
        self.port = port
        self._graceful_s = graceful_s
        self._server = uvicorn.Server(
            uvicorn.Config(
                # uvicorn's own limit also counts silent connections, which would make it refuse every
                # request.
                RequestLimits(app),
                host=host,
                port=port,
                log_config=None,
                access_log=False,  # request lines contain UIDs and search terms
                server_header=False,
                ssl_certfile=certificate,
                ssl_keyfile=None if key is None else str(key),
                timeout_graceful_shutdown=graceful_s,
                http=BoundedProtocol,
                h11_max_incomplete_event_size=MAXIMUM_HEAD,
                ws_max_size=_LONGEST_MESSAGE,
            )
        )
        self._thread = threading.Thread(target=self._server.run, name=name, daemon=True)

    def start(self) -> int:
        """Serve; return the port.

        Raises:
            PortUnavailable: the address and port cannot be bound.
        """
        self._thread.start()
        pause = threading.Event()
        while not self._server.started:
            if not self._thread.is_alive():
                raise PortUnavailable(
                    f"cannot listen on {self._where}: another program uses the port, or the "
                    "address is not one of this machine"
                )
            pause.wait(0.05)
        self.port = int(self._server.servers[0].sockets[0].getsockname()[1])
        return self.port

    def stop(self) -> None:
        """Stop after the requests in progress."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(self._graceful_s + 5)


def stow_server(
    settings: ListenerSettings, store: InstanceStore, intake: Intake, note: Callable[[Event], None]
) -> HttpServer | None:
    """Return the STOW-RS server, or None if it is not configured."""
    if settings.stow is None:
        return None
    return HttpServer(
        StowService(settings, Receiver(store, intake), note).app,
        settings.stow.host,
        settings.stow.port,
        certificate=settings.stow.tls_certificate,
        key=settings.stow.tls_key,
        name="stow-rs",
    )

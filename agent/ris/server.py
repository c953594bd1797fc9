"""The MLLP port: allowed systems send messages one at a time; each is answered once it is stored.

Limits: connections in total and from one address, the size of a message, the time that one may take to
arrive, silence. A slow or silent peer holds nobody up, because each connection has its own task.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

from agent.foundation.errors import MessageUnreadable, PortUnavailable
from agent.foundation.log import get_logger
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.framing import FrameReader, framed
from agent.network.tls import server_context

_CHUNK = 65536
_AT_ONCE = 4
_START_WITHIN_S = 10.0

Take = Callable[[bytes, str], list[bytes]]
Refused = Callable[[str, str], None]


class MllpServer:
    """Listens in its own thread between `start` and `stop`."""

    def __init__(
        self, settings: Hl7Settings, take: Take, refused: Refused = lambda address, code: None
    ) -> None:
        """take: stores one message and returns the answers. refused: called with address and reason."""
        self._settings = settings
        self._take, self._refused = take, refused
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hl7", daemon=True)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hl7-store")
        self._server: asyncio.Server | None = None
        self._port = settings.port
        self._open: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._log = get_logger("hl7")

    def start(self) -> int:
        """Start listening; return the port.

        Raises:
            PortUnavailable: the address and port cannot be bound.
            SettingsError: a TLS file is missing or does not fit.
        """
        context = None if self._settings.tls is None else server_context(self._settings.tls)
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._listen(context), self._loop)
        try:
            return opening.result(_START_WITHIN_S)
        except OSError as error:
            self.stop()
            where = f"{self._settings.host}:{self._settings.port}"
            raise PortUnavailable(f"the HL7 port cannot be bound at {where}") from error

    def stop(self) -> None:
        """Stop: accept no new connection, and answer the messages that have arrived."""
        if not self._thread.is_alive():
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_START_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_WITHIN_S)
        self._pool.shutdown()

    def close(self) -> None:
        """The same, for `contextlib.closing`."""
        self.stop()

    def about(self) -> dict[str, Any]:
        """Return connections and counters, for the heartbeat."""
        return {"port": self._port, "connections": sum(self._open.values()), **self._counts}

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _listen(self, context: ssl.SSLContext | None) -> int:
        handshake = None
        if context is not None and self._settings.tls is not None:
            handshake = self._settings.tls.handshake_timeout_s
        self._server = await asyncio.start_server(
            self._connected,
            self._settings.host,
            self._settings.port,
            ssl=context,
            ssl_handshake_timeout=handshake,
            limit=_CHUNK,
        )
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self._port

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_START_WITHIN_S / 2)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str((writer.get_extra_info("peername") or ("",))[0])
        code = self._refusal(address, writer)
        if code is not None:
            self._counts["refused"] += 1
            self._log.warning("connection_refused", address=address, reason_code=code)
            self._refused(address, code)
            writer.close()
            return
        self._open[address] += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._serve(reader, writer, address)
        except (TimeoutError, ConnectionError, MessageUnreadable, ssl.SSLError) as error:
            self._log.info("connection_ended", address=address, error_type=type(error).__name__)
        except asyncio.CancelledError:
            pass  # a stop
        finally:
            self._open[address] -= 1
            self._open += Counter()
            if task is not None:
                self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        frames = FrameReader(int(self._settings.maximum_message_mb * 1_000_000))
        begun_at: float | None = None
        while True:
            left = self._settings.idle_timeout_s
            if begun_at is not None:
                left = begun_at + self._settings.message_timeout_s - self._loop.time()
            data = await asyncio.wait_for(reader.read(_CHUNK), max(left, 0.0))
            if not data:
                return
            for content in frames.feed(data):
                begun_at = None
                self._counts["messages"] += 1
                # Stored in any case: a stop or a lost peer must not leave it half done.
                storing = self._loop.run_in_executor(self._pool, self._take, content, address)
                for answer in await asyncio.shield(storing):
                    writer.write(framed(answer))
                await writer.drain()
            if not frames.begun:
                begun_at = None
            elif begun_at is None:
                begun_at = self._loop.time()

    def _refusal(self, address: str, writer: asyncio.StreamWriter) -> str | None:
        settings = self._settings
        if sum(self._open.values()) >= settings.maximum_connections:
            return "full"
        if self._open[address] >= settings.maximum_connections_per_peer:
            return "full-peer"
        where = _parsed(address)
        if not settings.allow:
            return None if where is not None and where.is_loopback else "unknown-caller"
        shown = writer.get_extra_info("ssl_object")
        certificate = None if shown is None else shown.getpeercert(binary_form=True)
        fingerprint = hashlib.sha256(certificate).hexdigest() if certificate else None
        for peer in settings.allow:
            there = where is not None and where in ip_network(peer.address, strict=False)
            if there and peer.certificate_sha256 in (None, fingerprint):
                return None
        return "unknown-caller"


def _parsed(address: str) -> Any:
    try:
        parsed = ip_address(address.split("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed

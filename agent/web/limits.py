"""Limits of the web process: connections, the time a request may take to arrive, and the size of its body.

uvicorn applies no limit before it has the whole request head: a few hundred connections that send a byte
now and then would use up the process's file descriptors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import h11
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

# Open connections; a browser keeps up to six. The systemd unit allows more descriptors (LimitNOFILE).
MAXIMUM_CONNECTIONS = 512
# Requests in progress, and streams of changes (one for each open list); further ones are answered 503.
MAXIMUM_REQUESTS, MAXIMUM_STREAMS = 128, 256
STREAM = "/live"
# The largest head of a request (bytes), and the time (s) within which it must arrive; the same for its body.
MAXIMUM_HEAD, HEAD_WITHIN_S = 32_768, 15.0
MAXIMUM_BODY, BODY_WITHIN_S = 1_000_000, 30.0
# A client that reads nothing for this long (s) is disconnected.
READ_WITHIN_S = 30.0


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that ends a connection whose request is not sent, or whose response is not read, in time.

    When there are too many connections, a new one takes the place of the one that has been idle longest.
    """

    head_within_s = HEAD_WITHIN_S
    read_within_s = READ_WITHIN_S
    maximum_connections = MAXIMUM_CONNECTIONS
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Accept a connection; if there are too many, the longest idle one is closed, or else this one."""
        super().connection_made(transport)
        self._idle_since = time.monotonic()
        if len(self.connections) > self.maximum_connections:
            victim = min((one for one in self._others() if one.idle), key=_idle_since, default=self)
            victim.transport.abort()
            # The transport reports its end later; connections that arrive meanwhile must not count it.
            self.connections.discard(victim)
            if victim is self:
                return
        self._wait_for_head()

    @property
    def idle(self) -> bool:
        """Whether no request of this connection is in progress."""
        cycle: Any = self.cycle
        return cycle is None or bool(cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; the deadline ends with the complete head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Start the idle time."""
        self._idle_since = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.read_within_s, self.transport.abort)

    def resume_writing(self) -> None:
        """End that deadline."""
        self._stop_unread()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadlines."""
        self._stop_waiting()
        self._stop_unread()
        super().connection_lost(exc)

    def _others(self) -> Iterator[BoundedProtocol]:
        for one in self.connections:
            if one is not self and isinstance(one, BoundedProtocol):
                yield one

    def _wait_for_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_within_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _idle_since(connection: BoundedProtocol) -> float:
    return connection._idle_since


class RequestLimits:
    """Middleware that answers 503 if too many requests or streams are in progress.

    uvicorn's own limit counts connections: idle browsers, and peers that send nothing, would use it up.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._most = {False: MAXIMUM_REQUESTS, True: MAXIMUM_STREAMS}
        self._present = {False: 0, True: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stream = scope["path"] == STREAM
        if self._present[stream] >= self._most[stream]:
            answer = PlainTextResponse("too many requests: try again", 503, headers={"retry-after": "5"})
            await answer(scope, receive, send)
            return
        self._present[stream] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._present[stream] -= 1


class BodyLimits:
    """Middleware that refuses a request whose body is too large, or does not arrive in time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deadline, received, whole = 0.0, 0, False

        async def bounded() -> Message:
            nonlocal deadline, received, whole
            if whole:  # it can only close the connection now
                return await receive()
            deadline = deadline or time.monotonic() + BODY_WITHIN_S
            try:
                message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0.001))
            except TimeoutError:
                raise HTTPException(408, "the request's body did not arrive in time") from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > MAXIMUM_BODY:
                raise HTTPException(413, "the request's body is too large")
            return message

        await self._app(scope, bounded, send)

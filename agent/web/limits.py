"""Limits of the web process: connections, the time a request may take to arrive, and the size of its body.

uvicorn applies no limit before it has the whole request head: a few hundred connections that send a byte
now and then would use up the process's file descriptors.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import h11
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

# Open connections; a browser keeps up to six. The systemd unit allows more descriptors (LimitNOFILE).
MAXIMUM_CONNECTIONS = 512
# Requests in progress; further ones are answered 503.
MAXIMUM_REQUESTS = 128
# The largest head of a request (bytes), and the time (s) within which it must arrive; the same for its body.
MAXIMUM_HEAD, HEAD_WITHIN_S = 32_768, 15.0
MAXIMUM_BODY, BODY_WITHIN_S = 1_000_000, 30.0


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request head does not arrive in time."""

    head_within_s = HEAD_WITHIN_S
    maximum_connections = MAXIMUM_CONNECTIONS
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.maximum_connections:
            transport.abort()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the deadline ends with the complete head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_within_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


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
            if whole:  # only the end of the connection can follow
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

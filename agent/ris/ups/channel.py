"""Events over a WebSocket: an open channel receives the events of its subscriptions from then on.

What happened while a channel was closed is not repeated: the subscriber searches again when it reconnects, as
IHE AIW-I requires. One that reads too slowly is disconnected with 1013 (try again later), and does the same.

Source: PS3.18 section 8.10.4 (event messages), 11.13 (send event report).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.database.session import Database
from agent.database.workitems import UpsEvent
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.settings.ups import Right
from agent.ris.ups.admission import rights_of
from agent.ris.ups.permissions import ANYBODY, Permissions
from agent.ris.ups.terms import EVENT

MOST_CHANNELS = 200
# Most events that may wait for one subscriber to read them.
MOST_WAITING = 500
# Subscribers need not send anything; some send short messages to keep the connection open.
MOST_HEARD = 1000
_EVERY_S = 0.25
_BATCH = 200
_TRY_AGAIN, _POLICY_VIOLATION, _NOT_ADMITTED = 1013, 1008, 4401


@dataclass(slots=True, kw_only=True, eq=False)
class _Listener:
    """One open channel."""

    receiver: str
    waiting: asyncio.Queue[UpsEvent] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    # Set when it has missed an event.
    missed: asyncio.Event = field(default_factory=asyncio.Event)
    # The newest event when it was opened: later ones are sent.
    opened_at: int = 0


class Channel:
    """Serves the subscribers' WebSockets from the table of events, reading it once for all of them."""

    def __init__(self, database: Database, *, permissions: Permissions = ANYBODY) -> None:
        self._database = database
        self._permissions = permissions
        # All of this runs in the server's single event loop.
        self._listeners: set[_Listener] = set()
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def serve(self, socket: WebSocket) -> None:
        """Send one subscriber its events until it closes the channel."""
        listener = _Listener(receiver=socket.path_params["receiver"])
        if not self._may_listen(socket, listener.receiver):
            await socket.close(code=_NOT_ADMITTED)
            return
        if len(self._listeners) >= MOST_CHANNELS:
            await socket.close(code=_TRY_AGAIN)
            return
        self._listeners.add(listener)
        try:
            listener.opened_at = await self._start_reader()
            await socket.accept()
            code = await _serve_until_over(socket, listener)
            if code is not None:
                await socket.close(code=code)
        except (WebSocketDisconnect, RuntimeError, DatabaseUnavailable):
            return  # the peer is gone, or will search again once the database is back
        finally:
            self._listeners.discard(listener)

    def _may_listen(self, socket: WebSocket, receiver: str) -> bool:
        caller = rights_of(socket, self._permissions)
        if caller is None:
            return False
        ae_title, rights = caller
        own = ae_title in ("", receiver)
        return Right.SUBSCRIBE in rights and (own or Right.SUBSCRIBE_OTHERS in rights)

    async def _start_reader(self) -> int:
        """Start reading events, and return the row of the newest one.

        One reader serves all channels and ends with the last one.
        """
        async with self._starting:
            last = await run_in_threadpool(self._newest)
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read(last))
            return last

    async def _read(self, last: int) -> None:
        while self._listeners:
            try:
                events = await run_in_threadpool(self._after, last)
            except DatabaseUnavailable:
                for listener in self._listeners:
                    listener.missed.set()
                return
            for event in events:
                last = event.id
                self._hand_out(event)
            if len(events) < _BATCH:
                await asyncio.sleep(_EVERY_S)

    def _hand_out(self, event: UpsEvent) -> None:
        for listener in self._listeners:
            if listener.receiver in event.receivers:
                try:
                    listener.waiting.put_nowait(event)
                except asyncio.QueueFull:
                    listener.missed.set()

    def _newest(self) -> int:
        with self._database.reading() as session:
            return session.scalar(select(func.max(UpsEvent.id))) or 0

    def _after(self, last: int) -> list[UpsEvent]:
        with self._database.reading() as session:
            query = select(UpsEvent).where(UpsEvent.id > last).order_by(UpsEvent.id).limit(_BATCH)
            return list(session.scalars(query))


def message(event: UpsEvent, number: int) -> dict[str, Any]:
    """Return an event as the message of a channel: the command's elements, then the Event Information."""
    return {
        "00000002": {"vr": "UI", "Value": [str(EVENT)]},
        "00000110": {"vr": "US", "Value": [number % 65536]},
        "00001000": {"vr": "UI", "Value": [event.uid]},
        "00001002": {"vr": "US", "Value": [event.event_type]},
        **event.content,
    }


async def _serve_until_over(socket: WebSocket, listener: _Listener) -> int | None:
    """Serve an accepted channel; return the code to close it with, or None if the peer has closed it."""
    sending = asyncio.create_task(_send_all(socket, listener))
    hearing = asyncio.create_task(_hear(socket))
    missing = asyncio.create_task(listener.missed.wait())
    tasks = {sending, hearing, missing}
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
        await asyncio.gather(*tasks, return_exceptions=True)
    if hearing in done:
        return hearing.result()
    return _TRY_AGAIN if missing in done else None


async def _send_all(socket: WebSocket, listener: _Listener) -> None:
    number = 0
    while True:
        event = await listener.waiting.get()
        if event.id <= listener.opened_at:
            continue
        number += 1
        await socket.send_json(message(event, number))


async def _hear(socket: WebSocket) -> int | None:
    """Discard what a subscriber sends; return a close code if it sends too much."""
    for _ in range(MOST_HEARD):
        received = await socket.receive()
        if received["type"] == "websocket.disconnect":
            return None
    return _POLICY_VIOLATION

"""Events over a WebSocket: whoever has opened a channel hears what its subscriptions bring, from then on.

What happened while a channel was closed is not repeated: the subscriber searches again when it is back, as
IHE AIW-I asks.

Source: PS3.18 section 8.10.4 (event messages), 11.13 (send event report).
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.database.session import Database
from agent.database.workitems import UpsEvent
from agent.foundation.errors import DatabaseUnavailable
from agent.ups.admission import admitted
from agent.ups.terms import EVENT

_EVERY_S = 0.25
_BATCH = 200


class Channel:
    """Serves the subscribers' WebSockets from the table of events."""

    def __init__(self, database: Database, *, token: str = "") -> None:
        self._database = database
        self._token = token

    async def serve(self, socket: WebSocket) -> None:
        """Send one subscriber its events until it closes the channel."""
        if not admitted(socket, self._token):
            await socket.close(code=4401)
            return
        await socket.accept()
        receiver = socket.path_params["receiver"]
        last = await run_in_threadpool(self._newest)
        closed = asyncio.create_task(_until_closed(socket))
        number = 0
        try:
            while not closed.done():
                for event in await run_in_threadpool(self._after, last):
                    last = event.id
                    if receiver in event.receivers:
                        number += 1
                        await socket.send_json(message(event, number))
                await asyncio.wait([closed], timeout=_EVERY_S)
        except (WebSocketDisconnect, DatabaseUnavailable):
            return
        finally:
            closed.cancel()

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


async def _until_closed(socket: WebSocket) -> None:
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError, RuntimeError):
        return

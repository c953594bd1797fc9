"""Storage over HTTP (STOW-RS): the same durable intake as for C-STORE, one part after the other.

A part is durable and committed before the next one is taken. A sender is identified by its bearer token,
which is mapped to an AE title, so that routing, sites, audit and counters treat it like any other sender.
Without a token in the settings only this machine may send.

Source: PS3.18 10.5 (Store transaction).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent.database.audit.record import Action, Event
from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.tree import ListenerSettings
from agent.network.multipart import BodyRefused, Parts, boundary_of
from agent.receive.file_intake import FileIntake, Note
from agent.receive.messages import InFlight
from agent.receive.receiver import Receiver
from agent.receive.store_response import StoredPart, http_status, response_of

MEDIA_TYPE = "application/dicom+json"
LOCAL_SENDER = "STOW"


class StowService:
    """Stores the objects of requests."""

    def __init__(self, settings: ListenerSettings, receiver: Receiver, note: Note) -> None:
        self._settings = settings
        self._note = note
        self._files = FileIntake(settings, receiver, note)
        self._in_flight = InFlight(round(settings.maximum_in_flight_mb * 1_000_000))

    @property
    def app(self) -> Starlette:
        """The application: POST /studies and POST /studies/{uid}."""
        return Starlette(
            routes=[
                Route("/studies", self._store, methods=["POST"]),
                Route("/studies/{study}", self._store, methods=["POST"]),
            ]
        )

    async def _store(self, request: Request) -> Response:
        address = request.client.host if request.client is not None else ""
        sender = self._sender(request, address)
        if sender is None:
            self._refused(address)
            return PlainTextResponse(
                "sign in with a bearer token (`listener.stow.senders`)",
                401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            taken = await self._take_all(request, sender, address)
        except BodyRefused as refused:
            return PlainTextResponse(str(refused), refused.status, headers=_later(refused.status))
        except ClientDisconnect:
            return PlainTextResponse("the request ended early", 400)
        if not taken:
            return PlainTextResponse("the request contains no object", 400)
        status = http_status(taken)
        content = response_of(taken).to_json_dict()
        return JSONResponse(content, status, headers=_later(status), media_type=MEDIA_TYPE)

    async def _take_all(self, request: Request, sender: str, address: str) -> list[StoredPart]:
        """Store the parts as they arrive; parts stored before a body breaks off are kept.

        Raises:
            BodyRefused: the body cannot be read, or too many bytes are in flight.
        """
        parts = Parts(
            boundary_of(request.headers.get("content-type", "")),
            round(self._settings.maximum_object_mb * 1_000_000),
        )
        study = request.path_params.get("study", "")
        taken: list[StoredPart] = []
        held = 0
        try:
            async for chunk in self._chunks(request):
                if not self._in_flight.take(len(chunk)):
                    raise BodyRefused(503, "too many objects are arriving: try again later")
                held += len(chunk)
                for part in parts.feed(chunk):
                    taken.append(
                        await run_in_threadpool(self._files.take, part, sender, address, study=study)
                    )
                    self._in_flight.give_back(held)
                    held = 0
        finally:
            self._in_flight.give_back(held)
        parts.check()
        if not parts.ended:
            raise BodyRefused(400, "the body ends before its last boundary")
        return taken

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            BodyRefused: the sender paused for too long.
        """
        stream = request.stream()
        while True:
            try:
                yield await asyncio.wait_for(anext(stream), self._settings.network_timeout_s)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise BodyRefused(408, "the rest of the request's body did not arrive in time") from None

    def _sender(self, request: Request, address: str) -> str | None:
        """Return the AE title for a request's token; None if the sender is not allowed."""
        stow = self._settings.stow
        if stow is None or not stow.senders:
            return LOCAL_SENDER if is_loopback(address) else None
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = given.strip().encode()
        found = [one for one in stow.senders if hmac.compare_digest(one.token.encode(), token)]
        return found[0].ae_title.strip() if found else None

    def _refused(self, address: str) -> None:
        self._note(
            Event(
                action=Action.REFUSED,
                actor=LOCAL_SENDER,
                address=address,
                succeeded=False,
                details={"reason_code": "no-token"},
            )
        )


def _later(status: int) -> Mapping[str, str] | None:
    """Return when the sender may try again (RFC 9110 10.2.3), if a later attempt can succeed."""
    return {"Retry-After": "30"} if status == 503 else None

"""Storage over HTTP (STOW-RS): the same durable intake as C-STORE, one part after the other.

A part is durable and committed before the next one is taken. A sender is recognised by its bearer token,
which stands for an AE title, so that routing, sites, records and counters know it as they know any other;
without a token in the settings only this machine may send.

Source: PS3.18 10.5 (Store transaction).
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent.database.audit.record import Action, Event
from agent.foundation.errors import AgentError, DatabaseUnavailable, StorageFull, UnreadableInstance
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.tree import ListenerSettings
from agent.network.contexts import KEY_OBJECT_SELECTION, TRANSFER_SYNTAXES, image_classes
from agent.objects.element_walk import scan_file_meta
from agent.receive.messages import InFlight
from agent.receive.multipart import BodyRefused, Parts, boundary_of
from agent.receive.receiver import Command, Receiver, ReceiveStatus, StoreAnswer
from agent.receive.store_response import StoredPart, http_status, response_of

MEDIA_TYPE = "application/dicom+json"
LOCAL_SENDER = "STOW"
_UNREADABLE = StoredPart(sop_class_uid="", sop_instance_uid="", status=ReceiveStatus.CANNOT_UNDERSTAND)
Note = Callable[[Event], None]


class StowService:
    """Takes the objects of requests, and counts what it has answered."""

    def __init__(self, settings: ListenerSettings, receiver: Receiver, note: Note) -> None:
        self._settings = settings
        self._receiver = receiver
        self._note = note
        self._in_flight = InFlight(round(settings.maximum_in_flight_mb * 1_000_000))
        self._classes = {*image_classes(settings.accept_secondary_capture), KEY_OBJECT_SELECTION}
        self._log = get_logger("listener")

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
            return PlainTextResponse(str(refused), refused.status)
        except ClientDisconnect:
            return PlainTextResponse("the request ended early", 400)
        if not taken:
            return PlainTextResponse("the request has no object", 400)
        status = http_status(taken)
        headers = {"Retry-After": "30"} if status == 503 else None
        return JSONResponse(response_of(taken).to_json_dict(), status, headers=headers, media_type=MEDIA_TYPE)

    async def _take_all(self, request: Request, sender: str, address: str) -> list[StoredPart]:
        """Take the parts as they come; what was taken before a body breaks off stays taken.

        Raises:
            BodyRefused: the body cannot be read, or there is no room for it.
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
                    taken.append(await run_in_threadpool(self._take, part, sender, address, study))
                    self._in_flight.give_back(held)
                    held = 0
        finally:
            self._in_flight.give_back(held)
        if not parts.ended:
            raise BodyRefused(400, "the body ends before its last boundary")
        return taken

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            BodyRefused: the sender was silent for too long.
        """
        stream = request.stream()
        while True:
            try:
                yield await asyncio.wait_for(anext(stream), self._settings.network_timeout_s)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise BodyRefused(408, "the request's body stopped coming") from None

    def _take(self, part: bytearray, sender: str, address: str, study: str) -> StoredPart:
        """Make one object durable and known; every failure becomes a status."""
        started = time.monotonic()
        command, start = self._command(part, sender, address)
        if command is None:
            answer = StoreAnswer(status=ReceiveStatus.CANNOT_UNDERSTAND, code="unreadable-instance")
        elif command.context_class_uid == "":
            answer = StoreAnswer(status=ReceiveStatus.CLASS_NOT_SUPPORTED, code="class-not-negotiated")
        else:
            with memoryview(part) as whole, whole[start:] as dataset:
                answer = self._receive(command, dataset)
        if study and answer.study_instance_uid not in (None, study):
            # It is kept, under the study that it names; the sender hears that this is not the one it meant.
            answer = StoreAnswer(status=ReceiveStatus.MISMATCH, code="another-study")
        self._record(answer, sender, address, len(part), time.monotonic() - started)
        if command is None:
            return _UNREADABLE
        return StoredPart(
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
            status=answer.status,
        )

    def _receive(self, command: Command, dataset: memoryview) -> StoreAnswer:
        try:
            return self._receiver.receive(command, dataset)
        except (StorageFull, DatabaseUnavailable) as error:
            return StoreAnswer(status=ReceiveStatus.OUT_OF_RESOURCES, code=error.code)
        except AgentError as error:
            return StoreAnswer(status=ReceiveStatus.PROCESSING_FAILURE, code=error.code)
        except Exception:  # noqa: BLE001 - outermost: the sender must hear a status, whatever broke
            return StoreAnswer(status=ReceiveStatus.PROCESSING_FAILURE, code="unexpected")

    def _command(self, part: bytearray, sender: str, address: str) -> tuple[Command | None, int]:
        """Read the file meta information; return what C-STORE would say, and where the data set begins.

        A class or transfer syntax that C-STORE would not negotiate leaves `context_class_uid` empty.
        """
        try:
            meta = scan_file_meta(part)
        except UnreadableInstance:
            return None, 0
        offered = meta.sop_class_uid in self._classes and meta.transfer_syntax_uid in TRANSFER_SYNTAXES
        command = Command(
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            context_class_uid=meta.sop_class_uid if offered else "",
            transfer_syntax_uid=meta.transfer_syntax_uid,
            calling_ae_title=sender,
            address=address,
        )
        return command, meta.dataset_at

    def _sender(self, request: Request, address: str) -> str | None:
        """Return the AE title that a request's token stands for; None where it is not admitted."""
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

    def _record(self, answer: StoreAnswer, sender: str, address: str, size: int, seconds: float) -> None:
        good = answer.status is ReceiveStatus.SUCCESS
        if not good:
            details: dict[str, Any] = {"status": f"{answer.status:04X}"}
            if answer.code is not None:
                details["code"] = answer.code
            self._note(
                Event(
                    action=Action.NOT_TAKEN,
                    actor=sender,
                    address=address,
                    succeeded=False,
                    details=details,
                )
            )
        (self._log.info if good else self._log.warning)(
            "object",
            status=f"{answer.status:04X}",
            code=answer.code,
            study_ref=study_ref(answer.study_instance_uid) if answer.study_instance_uid else None,
            size_bytes=size,
            duration_ms=round(seconds * 1000),
        )

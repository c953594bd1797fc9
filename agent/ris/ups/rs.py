"""The manager over HTTP: UPS-RS, with events over a WebSocket.

Payloads are DICOM JSON (PS3.18 annex F); XML is answered 415. A caller's bearer token decides what it may do;
if the settings have none, only this machine is admitted.

Source: PS3.18 section 11 (worklist service), 8.10 (notifications).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pydicom import Dataset
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from agent.foundation.errors import DatabaseUnavailable, WorkitemInvalid
from agent.foundation.settings.ups import Right
from agent.ris.ups.admission import rights_of
from agent.ris.ups.channel import Channel
from agent.ris.ups.manager import Manager, Reply
from agent.ris.ups.permissions import ANYBODY, Permissions
from agent.ris.ups.query_string import BadQuery, Search, read_filter, read_query
from agent.ris.ups.records import as_dataset, as_json
from agent.ris.ups.terms import UpsStatus, http_answer
from dicom_sr.attributes import text

MEDIA_TYPE = "application/dicom+json"
_JSON = (MEDIA_TYPE, "application/json")
_LARGEST_BODY = 4_000_000  # bytes
# JSON objects of a body: elements and items. A parser needs kilobytes of memory for each.
_MOST_OBJECTS = 25_000
_BODY_WITHIN_S = 30.0


class BadRequest(Exception):
    """A request that cannot be read: its HTTP status, and what is wrong."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def ups_app(manager: Manager, channel: Channel, *, permissions: Permissions = ANYBODY) -> Starlette:
    """Return the application; `channel` serves the WebSockets."""
    service = _Service(manager)
    routes = [
        Route("/workitems", service.create, methods=["POST"]),
        Route("/workitems", service.search, methods=["GET"]),
        Route("/workitems/{uid}", service.retrieve, methods=["GET"]),
        Route("/workitems/{uid}", service.update, methods=["POST"]),
        Route("/workitems/{uid}/state", service.change_state, methods=["PUT"]),
        Route("/workitems/{uid}/state/{requester}", service.change_state, methods=["PUT"]),
        Route("/workitems/{uid}/cancelrequest", service.request_cancel, methods=["POST"]),
        Route("/workitems/{uid}/cancelrequest/{requester}", service.request_cancel, methods=["POST"]),
        Route("/workitems/{uid}/subscribers/{receiver}", service.subscribe, methods=["POST"]),
        Route("/workitems/{uid}/subscribers/{receiver}", service.unsubscribe, methods=["DELETE"]),
        Route("/workitems/{uid}/subscribers/{receiver}/suspend", service.suspend, methods=["POST"]),
        WebSocketRoute("/subscribers/{receiver}", channel.serve),
    ]

    async def admit(request: Request, follow: Any) -> Response:
        caller = rights_of(request, permissions)
        if caller is None:
            return PlainTextResponse(
                "sign in with a bearer token (`ups.token`)", 401, headers={"WWW-Authenticate": "Bearer"}
            )
        request.state.ae_title, request.state.rights = caller
        try:
            response: Response = await follow(request)
        except BadRequest as error:
            return PlainTextResponse(str(error), error.status)
        except WorkitemInvalid as error:
            return PlainTextResponse(str(error), 400)
        except DatabaseUnavailable as error:
            return PlainTextResponse(str(error), 503, headers={"Retry-After": "5"})
        return response

    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=admit)])


class _Service:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def create(self, request: Request) -> Response:
        _need(request, Right.CREATE)
        dataset = await _dataset_of(request)
        uid = request.query_params.get("AffectedSOPInstanceUID") or _only_name(request)
        reply = await run_in_threadpool(self._manager.create, uid, dataset)
        if reply.status.failed:
            return _answer(reply)
        where = str(request.url_for("retrieve", uid=reply.uid))
        return _answer(reply, code=201, headers={"Location": where, "Content-Location": where})

    async def retrieve(self, request: Request) -> Response:
        _need(request, Right.READ)
        reply = await run_in_threadpool(self._manager.get, request.path_params["uid"])
        if reply.status.failed or reply.dataset is None:
            return _answer(reply)
        return JSONResponse([as_json(reply.dataset)], media_type=MEDIA_TYPE)

    async def update(self, request: Request) -> Response:
        _need(request, Right.UPDATE)
        dataset = await _dataset_of(request)
        given = request.query_params.get("transaction-uid") or _only_name(request)
        given = given or text(dataset, "TransactionUID")
        reply = await run_in_threadpool(
            self._manager.update, request.path_params["uid"], dataset, transaction_uid=given
        )
        return _answer(reply, transaction_given=bool(given))

    async def change_state(self, request: Request) -> Response:
        _need(request, Right.PERFORM)
        dataset = await _dataset_of(request)
        given = text(dataset, "TransactionUID")
        reply = await run_in_threadpool(
            self._manager.change_state,
            request.path_params["uid"],
            text(dataset, "ProcedureStepState"),
            given,
        )
        return _answer(reply, transaction_given=bool(given))

    async def request_cancel(self, request: Request) -> Response:
        _need(request, Right.CANCEL)
        dataset = await _dataset_of(request, may_be_empty=True)
        requester = _ae_title(request.path_params.get("requester", ""))
        uid = request.path_params["uid"]
        reply = await run_in_threadpool(self._manager.request_cancel, uid, dataset, requester)
        if reply.status is UpsStatus.ALREADY_CANCELED:
            return _answer(reply, code=409)
        return _answer(reply, code=202)

    async def search(self, request: Request) -> Response:
        _need(request, Right.READ)
        try:
            search = read_query(request.query_params.multi_items())
        except BadQuery as error:
            raise BadRequest(400, str(error)) from error
        found = await run_in_threadpool(self._find, search)
        if not found:
            return Response(status_code=204)
        return JSONResponse(found, media_type=MEDIA_TYPE)

    def _find(self, search: Search) -> list[dict[str, Any]]:
        page = {"limit": search.limit, "offset": search.offset}
        return list(self._manager.find(search.keys, whole=search.everything, **page))

    async def subscribe(self, request: Request) -> Response:
        uid, receiver = request.path_params["uid"], self._receiver(request)
        lock = request.query_params.get("deletionlock", "").lower() == "true"
        try:
            keys = read_filter(request.query_params.get("filter", ""))
        except BadQuery as error:
            raise BadRequest(400, str(error)) from error
        reply = await run_in_threadpool(
            self._manager.subscribe, uid, receiver, deletion_lock=lock, keys=keys, known=True
        )
        if reply.status.failed:
            return _answer(reply)
        scheme = "wss" if request.url.scheme == "https" else "ws"
        where = str(request.url.replace(scheme=scheme, path=f"/subscribers/{receiver}", query=""))
        return _answer(reply, code=201, headers={"Content-Location": where})

    async def unsubscribe(self, request: Request) -> Response:
        uid, receiver = request.path_params["uid"], self._receiver(request)
        return _answer(await run_in_threadpool(self._manager.unsubscribe, uid, receiver))

    async def suspend(self, request: Request) -> Response:
        uid, receiver = request.path_params["uid"], self._receiver(request)
        return _answer(await run_in_threadpool(self._manager.suspend, uid, receiver))

    def _receiver(self, request: Request) -> str:
        """Return the AE title to subscribe, if the caller may subscribe it."""
        _need(request, Right.SUBSCRIBE)
        receiver = _ae_title(request.path_params["receiver"])
        if request.state.ae_title not in ("", receiver):
            _need(request, Right.SUBSCRIBE_OTHERS)
        if not receiver:
            raise BadRequest(400, "name the AE title that is to receive the events")
        return receiver


def _need(request: Request, right: Right) -> None:
    if right not in request.state.rights:
        raise BadRequest(403, f"your token does not allow `{right}` (`ups.permissions`)")


def _ae_title(given: str) -> str:
    title = given.strip()
    if len(title) > 16 or "\\" in title or not title.isascii() or not (title.isprintable() or not title):
        raise BadRequest(400, "this is not an AE title")
    return title


def _only_name(request: Request) -> str:
    """The UID after the question mark, in the form of the standard: `/workitems?1.2.3`."""
    names = [name for name, value in request.query_params.multi_items() if not value]
    return names[0] if len(names) == 1 and names[0].replace(".", "").isdigit() else ""


async def _dataset_of(request: Request, *, may_be_empty: bool = False) -> Dataset:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = await _body_of(request)
    if not body.strip() and may_be_empty:
        return Dataset()
    if kind not in _JSON:
        raise BadRequest(415, f"send {MEDIA_TYPE}")
    if body.count(b"{") > _MOST_OBJECTS:
        raise BadRequest(413, f"a workitem has at most {_MOST_OBJECTS} attributes and items")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(400, "the body is not JSON") from error
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if not isinstance(content, dict):
        raise BadRequest(400, "send one workitem")
    try:
        return as_dataset(content)
    except WorkitemInvalid as error:
        raise BadRequest(400, str(error)) from error


async def _body_of(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            async for part in request.stream():
                body += part
                if len(body) > _LARGEST_BODY:
                    raise BadRequest(413, f"a workitem has at most {_LARGEST_BODY} bytes")
    except TimeoutError as error:
        raise BadRequest(408, f"the body did not arrive within {_BODY_WITHIN_S:.0f} s") from error
    return bytes(body)


def _answer(
    reply: Reply, *, code: int = 200, headers: dict[str, str] | None = None, transaction_given: bool = True
) -> Response:
    """Return the HTTP response for an answer of the manager; `code` is the status of a success."""
    status, warning = http_answer(reply.status, transaction_given=transaction_given)
    if not reply.status.failed:
        status = code
    known = dict(headers or {})
    if warning or reply.comment:
        known["Warning"] = f"299 echo-agent: {warning or reply.comment}"
    return PlainTextResponse(reply.comment if reply.status.failed else "", status, headers=known)

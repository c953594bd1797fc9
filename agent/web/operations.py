"""Endpoints for monitoring: /healthz, /readyz and /metrics.

They are answered without sign-in, because a health check has no session, and contain no patient data.
`/healthz` says that the process is running, `/readyz` that it can work: the database answers and has the
right schema. `/metrics` answers this machine, or a client that has `web.metrics_token`.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.database import migrate
from agent.foundation.errors import AgentError
from agent.operations.metrics import CONTENT_TYPE, exposition
from agent.operations.status import read_status
from agent.web.site import Site

PATHS = ("/healthz", "/readyz", "/metrics")
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Operations:
    """Answers the monitoring endpoints; passes every other request on."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return _text("only GET", 405)
        if scope["path"] == "/healthz":
            return _text("ok")
        if scope["path"] == "/metrics" and not self._may_read_metrics(scope):
            return _text("metrics are for this machine, or for a bearer of web.metrics_token", 403)
        try:
            if scope["path"] == "/readyz":
                await run_in_threadpool(migrate.require_current, self._site.database)
                return _text("ready")
            return Response(await run_in_threadpool(self._metrics), media_type=CONTENT_TYPE, headers=HEADERS)
        except AgentError as error:
            return _text(f"not ready: {error.code}", 503)

    def _metrics(self) -> bytes:
        site = self._site
        return exposition(read_status(site.database, site.settings), site.settings)

    def _may_read_metrics(self, scope: Scope) -> bool:
        web = self._site.settings.web
        said = Headers(scope=scope).get("authorization", "")
        if web.metrics_token:
            return hmac.compare_digest(said.encode(), f"Bearer {web.metrics_token}".encode())
        # A proxy on this machine would make everybody look like this machine.
        client = scope.get("client")
        return not web.behind_proxy and client is not None and _is_loopback(client[0])


def _text(words: str, status: int = 200) -> Response:
    return PlainTextResponse(f"{words}\n", status, headers=HEADERS)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False

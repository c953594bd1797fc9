"""Checks of every request (host name, session) and the headers of every response."""

from __future__ import annotations

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.web.accounts import Account, any_user
from agent.web.site import SESSION_COOKIE, VISITOR_COOKIE, Person, Site

OPEN_PATHS = ("/sign-in", "/static/")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Gate:
    """Refuses unknown host names (DNS rebinding), identifies the person, or asks for sign-in."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        web = site.settings.web
        self._names: Collection[str] = {*LOCAL_NAMES, web.host.lower(), *map(str.lower, web.allowed_hosts)}
        self._must_sign_in = web.require_sign_in or not web.loopback or web.oidc is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        secure = scope["scheme"] == "https"
        cookies = _cookies(headers.get("cookie", ""))
        known = cookies.get(VISITOR_COOKIE, "")
        visitor = known if self._site.sessions.is_visitor(known) else self._site.sessions.new_visitor()
        answer = _Answer(send, secure=secure, path=scope["path"], visitor="" if visitor == known else visitor)
        refusal = await self._refusal(scope, headers, cookies, visitor)
        await (self._app if refusal is None else refusal)(scope, receive, answer)

    async def _refusal(
        self, scope: Scope, headers: Headers, cookies: dict[str, str], visitor: str
    ) -> Response | None:
        if headers.get("host", "").lower().rsplit(":", 1)[0] not in self._names:
            return PlainTextResponse("this host name is not in web.allowed_hosts", 400)
        if scope["method"] not in ("GET", "HEAD") and headers.get("sec-fetch-site", "same-origin") not in (
            "same-origin",
            "none",
        ):
            return PlainTextResponse("this form came from another site", 403)
        account, asked = await run_in_threadpool(
            self._who, cookies.get(SESSION_COOKIE, ""), act=not _is_poll(scope, headers)
        )
        client = scope.get("client")
        person = Person(account=account, address=client[0] if client else "", visitor=visitor)
        scope.setdefault("state", {}).update(person=person, visitor=visitor)
        if asked and account is None and not scope["path"].startswith(OPEN_PATHS):
            return _to_sign_in(scope, headers)
        return None

    def _who(self, cookie: str, *, act: bool) -> tuple[Account | None, bool]:
        """Return the session's account, and whether sign-in is required."""
        account = self._site.sessions.find(cookie, act=act) if cookie else None
        if account is not None:
            return account, True
        return None, self._must_sign_in or any_user(self._site.database)


def _is_poll(scope: Scope, headers: Headers) -> bool:
    """Whether the page made this request by itself: only a person's actions keep a session open."""
    path: str = scope["path"]
    # With act=1 an open study's page says that the person has done something since its last request.
    asked = path.endswith("/state") and b"act=1" not in scope.get("query_string", b"").split(b"&")
    return path == "/live" or asked or headers.get("x-poll") == "yes"


def _to_sign_in(scope: Scope, headers: Headers) -> Response:
    """Redirect to the sign-in page; a script gets 401, and then asks for sign-in in place."""
    if headers.get("hx-request") or headers.get("sec-fetch-mode", "navigate") != "navigate":
        return Response(status_code=401)
    wanted = scope["path"] + (
        f"?{query}" if (query := scope.get("query_string", b"").decode("latin-1")) else ""
    )
    if scope["method"] != "GET" or wanted == "/":
        return RedirectResponse("/sign-in", 303)
    return RedirectResponse("/sign-in?" + urlencode({"next": wanted}), 303)


class _Answer:
    """Adds the headers to a response."""

    def __init__(self, send: Send, *, secure: bool, path: str, visitor: str) -> None:
        self._send = send
        self._secure = secure
        self._static = path.startswith("/static/")
        self._visitor = visitor

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # Scripts are revalidated each time, so that a page and its scripts have the same version.
            headers["cache-control"] = "no-cache" if self._static else "no-store"
            if self._secure:
                headers["strict-transport-security"] = "max-age=31536000"
            # Sign-in sets a new one itself.
            given = any(one.startswith(f"{VISITOR_COOKIE}=") for one in headers.getlist("set-cookie"))
            if self._visitor and not given:
                headers.append("set-cookie", cookie(VISITOR_COOKIE, self._visitor, secure=self._secure))
        await self._send(message)


def cookie(name: str, value: str, *, secure: bool) -> str:
    """Return a cookie that scripts cannot read and other sites do not receive."""
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}

"""Sign-in with name and password or through an OpenID provider, and sign-out."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent.database.audit import web_actor as audit
from agent.foundation.errors import OpenIdRefused, OpenIdUnavailable
from agent.web.accounts import Account, check_password, end_subject, enter_subject
from agent.web.claims import release_all
from agent.web.gate import cookie
from agent.web.openid import Identity, OpenId
from agent.web.site import (
    SESSION_COOKIE,
    VISITOR_COOKIE,
    aside,
    form_of,
    is_in_place,
    page,
    person_of,
    site_of,
)

BACK = "/sign-in/openid/back"


async def sign_in_form(request: Request) -> Response:
    """The sign-in form; a script on an open page gets the token for its form instead."""
    if is_in_place(request):
        return JSONResponse({"form_token": site_of(request).sessions.form_token(request.state.visitor)})
    return await _form(request, 200, wanted=request.query_params.get("next", ""))


async def session(request: Request) -> Response:
    """Who is signed in, and the token for the forms of an open page, which requests it before sending one."""
    return JSONResponse(_session(request, person_of(request).account, request.state.visitor))


def _session(request: Request, account: Account | None, visitor: str) -> dict[str, str]:
    sessions, name = site_of(request).sessions, "local" if account is None else account.name
    return {
        "name": "" if account is None else account.name,
        "form_token": sessions.form_token(visitor),
        "typed_key": sessions.typed_key(name),
    }


async def _form(
    request: Request, status: int, message: str = "", name: str = "", wanted: str = ""
) -> Response:
    if is_in_place(request):
        return JSONResponse({"message": message}, status)
    return await page(request, "sign_in.html", status, message=message, name=name, wanted=_local(wanted))


def _local(address: str) -> str:
    """Return an address on this site to go to after sign-in; for any other address, the list."""
    plain = address.isascii() and address.isprintable() and " " not in address and "\\" not in address
    own = address.startswith("/") and not address.startswith(("//", "/sign-in"))
    return address if plain and own and len(address) <= 1000 else "/"


async def _waits(request: Request, wait_s: float, name: str) -> Response:
    """Refuse an attempt that comes too soon, and record it."""
    site = site_of(request)
    who = audit.Actor(name=name, address=person_of(request).address)
    await aside(audit.record_action, site.database, who, "sign-in", succeeded=False, code="throttled")
    message = f"Too many failed attempts: try again in {int(wait_s // 60) + 1} minutes."
    answer = await _form(request, 429, message, name)
    answer.headers["retry-after"] = str(int(wait_s) + 1)
    return answer


async def sign_in(request: Request) -> Response:
    """Check name and password."""
    site, actor = site_of(request), person_of(request).actor
    fields = await form_of(request)
    name, password = fields.get("name", "").strip().lower()[:64], fields.get("password", "")
    wait_s = site.throttle.wait_s(name, actor.address)
    if wait_s > 0:
        return await _waits(request, wait_s, name)
    await asyncio.sleep(site.throttle.brake_s(name, actor.address))
    account = await aside(check_password, site.database, name, password)
    who = audit.Actor(name=name, address=actor.address)
    await aside(audit.record_action, site.database, who, "sign-in", succeeded=account is not None)
    if account is None:
        site.throttle.failed(name, actor.address)
        return await _form(request, 401, "Name or password is wrong.", name, fields.get("next", ""))
    site.throttle.succeeded(name, actor.address)
    visitor = site.sessions.new_visitor()
    if is_in_place(request):
        return await _begin(request, account, JSONResponse(_session(request, account, visitor)), visitor)
    return await _begin(request, account, RedirectResponse(_local(fields.get("next", "")), 303), visitor)


async def _begin(request: Request, account: Account, answer: Response, visitor: str) -> Response:
    """Begin a session, with a new session cookie and a new visitor cookie for the forms."""
    site = site_of(request)
    await aside(site.sessions.end, request.cookies.get(SESSION_COOKIE, ""))
    value = await aside(site.sessions.begin, account)
    secure = request.url.scheme == "https"
    answer.headers.append("set-cookie", cookie(SESSION_COOKIE, value, secure=secure))
    answer.headers.append("set-cookie", cookie(VISITOR_COOKIE, visitor, secure=secure))
    return answer


async def openid_begin(request: Request) -> Response:
    """Redirect the browser to the provider."""
    openid, _ = _provider(request)
    # After sign-in: go to the requested page, or close the small window that was opened for it.
    request.session.update(
        next=_local(request.query_params.get("next", "")), popup=request.query_params.get("popup") == "1"
    )
    try:
        return await openid.begin(request, f"{request.url.scheme}://{request.url.netloc}{BACK}")
    except OpenIdUnavailable as error:
        return await _form(request, 503, f"Not signed in: {error}.")


async def openid_back(request: Request) -> Response:
    """Receive the browser on its way back from the provider."""
    openid, address = _provider(request)
    site = site_of(request)
    # The name is not known yet, so there is nothing to lock: forged answers must not lock out colleagues
    # behind the same address.
    await asyncio.sleep(site.throttle.brake_s("openid", address))
    try:
        identity = await openid.finish(request)
    except OpenIdUnavailable as error:
        return await _form(request, 503, f"Not signed in: {error}.")
    except OpenIdRefused as error:
        return await _refused(request, "openid", f"Not signed in: {error}.")
    account = await aside(_account, request, identity)
    name = f"openid:{identity.name}" if account is None else account.name
    if account is None:
        return await _refused(request, name, "Not signed in: this account has no role here.")
    who = audit.Actor(name=name, address=address)
    await aside(audit.record_action, site.database, who, "sign-in")
    wanted, popup = _local(request.session.pop("next", "")), bool(request.session.pop("popup", False))
    # No redirect: after a navigation from another site the browser would not send its new SameSite cookie.
    answer = await page(request, "signed_in.html", wanted=wanted, popup=popup)
    return await _begin(request, account, answer, site.sessions.new_visitor())


def _account(request: Request, identity: Identity) -> Account | None:
    database = site_of(request).database
    if identity.role is None:
        end_subject(database, identity.subject)
        return None
    return enter_subject(database, identity.subject, identity.name, identity.person_name, identity.role)


async def _refused(request: Request, name: str, message: str) -> Response:
    site, address = site_of(request), person_of(request).address
    who = audit.Actor(name=name, address=address)
    await aside(audit.record_action, site.database, who, "sign-in", succeeded=False)
    site.throttle.failed("openid", address)
    return await _form(request, 403, message)


def _provider(request: Request) -> tuple[OpenId, str]:
    openid = site_of(request).openid
    if openid is None:
        raise HTTPException(404)
    return openid, person_of(request).address


async def sign_out(request: Request) -> Response:
    """End the session, and the person's claims."""
    site = site_of(request)
    await form_of(request)
    await aside(release_all, site.database, person_of(request).reader)
    await aside(site.sessions.end, request.cookies.get(SESSION_COOKIE, ""))
    await aside(audit.record_action, site.database, person_of(request).actor, "sign-out")
    answer = RedirectResponse("/sign-in", 303)
    secure = request.url.scheme == "https"
    answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict", secure=secure)
    return answer

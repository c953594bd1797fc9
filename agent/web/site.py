"""Common parts of all pages: the person and their permissions, templates, and the check of forms."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from agent.database.audit.web_actor import Actor
from agent.database.session import Database
from agent.foundation.errors import NotFound
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.web.accounts import Account, Role, shown_name
from agent.web.claims import Reader
from agent.web.films import Films
from agent.web.openid import OpenId
from agent.web.sessions import Sessions
from agent.web.throttle import Throttle

SESSION_COOKIE = "echo_session"
VISITOR_COOKIE = "echo_visitor"
OPENID_COOKIE = "echo_openid"
THEME_COOKIE = "echo_theme"
ROWS_COOKIE = "echo_rows"
LONGEST_FORM = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The person making a request; without sign-in (on loopback) anonymous, with a name given with each
    verdict.

    visitor: the browser's cookie, which distinguishes people without accounts.
    """

    account: Account | None
    address: str
    visitor: str

    @property
    def actor(self) -> Actor:
        """The person for the audit."""
        return Actor(name="local" if self.account is None else self.account.name, address=self.address)

    @property
    def reader(self) -> Reader:
        """The person for claims."""
        if self.account is not None:
            return Reader(holder=f"user:{self.account.id}", name=self.shown, actor=self.actor)
        browser = hashlib.sha256(self.visitor.encode()).hexdigest()[:32]
        return Reader(holder=f"browser:{browser}", name="another browser", actor=self.actor)

    @property
    def shown(self) -> str:
        """The name on the page."""
        return "" if self.account is None else shown_name(self.account.person_name)

    @property
    def may_judge(self) -> bool:
        """Whether this person may accept and reject."""
        return self.account is None or self.account.role is Role.RADIOLOGIST

    @property
    def may_see_statistics(self) -> bool:
        """Whether this person may see how often people agree with the drafts."""
        return self.account is None or self.account.role is not Role.READER

    @property
    def may_see_audit(self) -> bool:
        """Whether this person may see the audit."""
        return self.account is None or self.account.role is Role.ADMIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The objects that all pages use; `openid` if a provider is configured."""

    settings: Settings
    database: Database
    store: InstanceStore
    films: Films
    sessions: Sessions
    throttle: Throttle
    templates: Environment
    openid: OpenId | None


@functools.cache
def make_templates() -> Environment:
    """Return the templates, the same for all applications of a process, which compile each of them once.

    Every value is escaped, and an undefined name is an error.
    """
    environment = Environment(
        loader=PackageLoader("agent.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(
        name=shown_name, day=shown_day, clock=shown_time, age=shown_age, span=shown_span
    )
    return environment


def site_of(request: Request) -> Site:
    """Return the objects that all pages use."""
    site: Site = request.app.state.site
    return site


def person_of(request: Request) -> Person:
    """Return the person who sent the request."""
    person: Person = request.state.person
    return person


async def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Render a page."""
    site = site_of(request)
    theme = "light" if request.cookies.get(THEME_COOKIE) == "light" else "dark"
    common = {
        "person": person_of(request),
        "openid_label": "" if site.openid is None else site.openid.label,
        "rows_style": "compact" if request.cookies.get(ROWS_COOKIE) == "compact" else "roomy",
        "form_token": site.sessions.form_token(request.state.visitor),
        "typed_key": site.sessions.typed_key(person_of(request).actor.name),
        "theme": theme,
        "path": request.url.path,
    }
    html = await run_in_threadpool(site.templates.get_template(template).render, **common, **values)
    return HTMLResponse(html, status_code=status)


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form that this site made for this browser.

    Raises:
        HTTPException: 403 for a form of another site, 413 for one that is too large.
    """
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > LONGEST_FORM:
        raise HTTPException(413)
    form = await request.form(max_files=0, max_fields=50, max_part_size=LONGEST_FORM)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    token = request.headers.get("x-form-token") or fields.get("form_token", "")
    if not site_of(request).sessions.is_form_token(request.state.visitor, token):
        raise HTTPException(403, "this form has expired: go back, reload the page, and send it again")
    return fields


def row_of(request: Request, name: str) -> int:
    """Return a row's number from the URL; row numbers have at most 63 bits.

    Raises:
        NotFound: there can be no such row.
    """
    number: int = request.path_params[name]
    if number >= 1 << 63:
        raise NotFound("there is no such study")
    return number


def is_in_place(request: Request) -> bool:
    """Whether a script on an open page sent this, rather than a navigation."""
    return request.headers.get("x-in-place") == "yes"


async def aside(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Run blocking work (database, pixels) in a thread."""
    return await run_in_threadpool(work, *arguments, **named)


def shown_day(value: str) -> str:
    """Return a DICOM date as 2026-01-31; anything else unchanged."""
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:8])).isoformat()
    except ValueError:
        return value


def shown_time(value: str) -> str:
    """Return a DICOM time as 13:59."""
    return f"{value[:2]}:{value[2:4]}" if value[:4].isdigit() and len(value) >= 4 else value


def shown_age(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, in the largest unit that fits."""
    return shown_span(now - moment)


def shown_span(span: timedelta) -> str:
    """Return a length of time in the largest unit that fits."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

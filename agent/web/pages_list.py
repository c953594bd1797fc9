"""The list, its live updates, statistics and audit."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from agent.database.audit import web_actor as audit
from agent.database.session import database_now
from agent.database.tables import Draft, JobEvent
from agent.foundation.errors import DatabaseUnavailable
from agent.web.claims import all_holders
from agent.web.findings import Line, chips
from agent.web.places import CRITICAL_BELOW
from agent.web.query import FLAGS, findings, number_of, query_of
from agent.web.site import Site, aside, page, person_of, site_of
from agent.web.statistics import read_statistics
from agent.web.worklist import Page, Row, read_page
from model.findings.stored import finding_of

LIVE_EVERY_S = 1.0


async def worklist(request: Request) -> Response:
    """The list; for htmx only its rows."""
    site, query = site_of(request), query_of(request.query_params)
    latest: Latest = await aside(_latest, site)
    found: Page = await aside(read_page, site.database, query)
    if found.rows:
        seen = [row.study_id for row in found.rows]
        await aside(audit.record_action, site.database, person_of(request).actor, "list", studies=seen)
    template = "rows.html" if request.headers.get("hx-request") else "worklist.html"
    return await page(
        request,
        template,
        found=found,
        query=query,
        asked=request.url.query,
        latest=latest.mark,
        chips_of=_chips,
        all_findings=findings(),
        all_flags=FLAGS,
    )


def _chips(row: Row) -> list[Line]:
    return chips([finding_of(one) for one in row.content.get("findings", ())])


async def live(request: Request) -> Response:
    """Server-sent events: `changed` when the list may look different, `critical` for a new critical draft.

    `ready` begins the stream. Its data, like the data of `changed`, is the mark that the rows carry too: a
    list with the same mark is up to date. `?seen=N` requests `critical` at once if there is a critical draft
    newer than draft N, the newest one that this browser knows.
    """
    return EventSourceResponse(_changes(site_of(request), request), ping=15)


async def _changes(site: Site, request: Request) -> AsyncIterator[dict[str, Any]]:
    last = await aside(_latest, site)
    seen = number_of(request.query_params.get("seen", ""))
    if 0 < seen < last.draft and await aside(_is_critical, site, seen):
        yield {"event": "critical", "data": str(last.draft)}
    yield {"event": "ready", "data": last.mark}
    while not await request.is_disconnected():
        await asyncio.sleep(LIVE_EVERY_S)
        try:
            present = await aside(_latest, site)
            critical = present.draft > last.draft and await aside(_is_critical, site, last.draft)
        except DatabaseUnavailable:
            continue  # the database may answer next time
        if critical:
            yield {"event": "critical", "data": str(present.draft)}
        if present != last:
            last = present
            yield {"event": "changed", "data": present.mark}


class Latest(NamedTuple):
    """What the list depends on: the newest draft, the newest step of a job, and the claims."""

    draft: int
    step: int
    claims: tuple[tuple[int, str], ...]

    @property
    def mark(self) -> str:
        """A short text that changes whenever one of these does."""
        claims = hashlib.sha256(repr(self.claims).encode()).hexdigest()[:12]
        return f"{self.draft}.{self.step}.{claims}"


def _latest(site: Site) -> Latest:
    with site.database.reading() as session:
        return Latest(
            draft=session.scalar(select(func.max(Draft.id))) or 0,
            step=session.scalar(select(func.max(JobEvent.id))) or 0,
            claims=all_holders(session, database_now(session)),
        )


def _is_critical(site: Site, after: int) -> bool:
    """Whether a draft that is newer than this one is critical."""
    drafted = (Draft.outcome == "drafted", Draft.shadow.is_(False))
    critical = (Draft.id > after, Draft.urgency < CRITICAL_BELOW, *drafted)
    with site.database.reading() as session:
        return session.scalar(select(Draft.id).where(*critical).limit(1)) is not None


async def statistics(request: Request) -> Response:
    """The page on agreement with the drafts."""
    if not person_of(request).may_see_statistics:
        return await page(request, "refused.html", 403, message="This page is for radiologists and admins.")
    found = await aside(read_statistics, site_of(request).database)
    return await page(request, "statistics.html", found=found)


async def audited(request: Request) -> Response:
    """The page of the audit."""
    if not person_of(request).may_see_audit:
        return await page(request, "refused.html", 403, message="This page is for admins.")
    await aside(audit.record_action, site_of(request).database, person_of(request).actor, "audit-read")
    events = await aside(audit.latest, site_of(request).database)
    return await page(request, "audit.html", events=events)

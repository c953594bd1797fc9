"""Claims of a study, and whether an open page is still up to date."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.web.claims import Reader, StudyClaim, claim, read_claim, release, renew
from agent.web.site import aside, form_of, page, person_of, row_of, site_of
from agent.web.study import read_state


async def state(request: Request) -> Response:
    """The newest draft and revision of a study, and its claim; an open page requests them regularly.

    `act=1` says that the person has done something since the last request: the claim's lease is extended.
    """
    site, study_id, reader = site_of(request), row_of(request, "study_id"), person_of(request).reader
    draft_id, revision = await aside(read_state, site.database, study_id)
    if request.query_params.get("act") == "1":
        await aside(renew, site.database, study_id, reader.holder, site.settings.web.claim_minutes)
    standing: StudyClaim | None = await aside(read_claim, site.database, study_id)
    return JSONResponse({"draft": draft_id, "revision": revision, "claim": _plain(standing, reader)})


def _plain(standing: StudyClaim | None, reader: Reader) -> dict[str, Any] | None:
    if standing is None:
        return None
    return {"holder": standing.holder, "mine": standing.holder == reader.holder}


async def claim_study(request: Request) -> Response:
    """Claim a study, or take it over from the holder whom the form names."""
    site, fields = site_of(request), await form_of(request)
    minutes, over = site.settings.web.claim_minutes, fields.get("over", "")[:64]
    reader, study_id = _judging(request), row_of(request, "study_id")
    await aside(claim, site.database, study_id, reader, minutes, over=over)
    return await shown(request)


async def release_study(request: Request) -> Response:
    """End one's own claim."""
    await form_of(request)
    await aside(release, site_of(request).database, _judging(request), row_of(request, "study_id"))
    return await shown(request)


async def shown(request: Request) -> Response:
    """The line on a study's page that says who is reading it."""
    study_id = row_of(request, "study_id")
    standing: StudyClaim | None = await aside(read_claim, site_of(request).database, study_id)
    return await page(request, "claim.html", claim=standing, study_id=study_id)


def _judging(request: Request) -> Reader:
    person = person_of(request)
    if not person.may_judge:
        raise HTTPException(403, "only a radiologist may claim a study")
    return person.reader

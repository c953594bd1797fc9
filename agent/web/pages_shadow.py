"""Shadow mode on the page: figures for each finding, and the disagreements, to be read one by one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from agent.database.audit import web_actor as audit
from agent.shadow.plots import forest, reliability_plot, undisputed_months
from agent.shadow.svg import svg_of
from agent.web.shadow import (
    DisagreementView,
    Figures,
    chosen_of,
    read_disagreement,
    read_disagreements,
    read_figures,
    suffix_of,
)
from agent.web.site import aside, page, person_of, row_of, site_of

_FOR_WHOM = "This page is for radiologists and admins."


async def figures(request: Request) -> Response:
    """The agreement of drafts with signed reports, by site, device, month and model."""
    if not person_of(request).may_see_statistics:
        return await page(request, "refused.html", 403, message=_FOR_WHOM)
    chosen = chosen_of(request.query_params)
    found: Figures = await aside(read_figures, site_of(request).database, chosen)
    plots = []
    if found.whole is not None:
        plots = [forest(found.whole.concepts), undisputed_months(found.months)]
    if found.calibration is not None:
        plots.append(reliability_plot(found.calibration.reliability))
    return await page(
        request,
        "shadow.html",
        found=found,
        chosen=chosen,
        suffix=suffix_of,
        plots=[svg_of(one) for one in plots],
    )


async def disagreements(request: Request) -> Response:
    """The newest disagreements in the selection."""
    person, site = person_of(request), site_of(request)
    if not person.may_see_statistics:
        return await page(request, "refused.html", 403, message=_FOR_WHOM)
    chosen = chosen_of(request.query_params)
    lines = await aside(read_disagreements, site.database, chosen)
    seen = [one.study_id for one in lines]
    await aside(audit.record_action, site.database, person.actor, "list", studies=seen)
    return await page(request, "disagreements.html", lines=lines, chosen=chosen, suffix=suffix_of)


async def disagreement(request: Request) -> Response:
    """One disagreement: film, draft, signed report, and what differs."""
    person, site = person_of(request), site_of(request)
    if not person.may_see_statistics:
        return await page(request, "refused.html", 403, message=_FOR_WHOM)
    chosen, number = chosen_of(request.query_params), row_of(request, "comparison_id")
    view: DisagreementView = await aside(read_disagreement, site.database, number, chosen)
    await aside(audit.record_action, site.database, person.actor, "view", study_id=view.study.id)
    return await page(request, "disagreement.html", view=view, chosen=chosen, suffix=suffix_of)

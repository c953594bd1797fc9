"""One study: its page, its films, findings as the text is edited, and verdicts."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent.database.audit import web_actor as audit
from agent.foundation.errors import AgentError, NotFound, StaleEdit
from agent.reports import sign_off as verdict
from agent.reports.edited_report import (
    Report,
    doubtful_sentences,
    drafted_report,
    read_findings,
    report_of,
)
from agent.web.claims import read_claim, release
from agent.web.compare import compare
from agent.web.films import FULL_PX, SCREEN_PX, EncodedFilm
from agent.web.findings import table_of
from agent.web.places import Neighbours, is_listed, read_neighbours
from agent.web.query import Query, number_of, query_of
from agent.web.site import aside, form_of, page, person_of, row_of, site_of
from agent.web.study import StudyView, find_film, read_revisions, read_study_page
from agent.web.text_templates import opposed
from dicom_sr.errors import StructuredReportError
from model.findings.stored import finding_of


async def study(request: Request) -> Response:
    """The study's page."""
    site, study_id = site_of(request), row_of(request, "study_id")
    view: StudyView = await aside(read_study_page, site.database, study_id)
    await aside(audit.record_action, site.database, person_of(request).actor, "view", study_id=study_id)
    return await _study_page(request, view)


async def _study_page(
    request: Request,
    view: StudyView,
    *,
    status: int = 200,
    report: Report | None = None,
    message: str = "",
    reason: str = "",
    observer: str = "",
) -> Response:
    draft = view.draft
    kept = Report(findings=(), impression=()) if draft is None else drafted_report(draft.content, draft.text)
    notices: tuple[str, ...] = ()
    if report is not None:
        reading = await aside(read_findings, report)
        findings, notices = list(reading.findings), reading.notices
    else:
        findings = [] if draft is None else [finding_of(one) for one in draft.content.get("findings", ())]
    query = query_of(request.query_params)
    near: Neighbours = await aside(_neighbours, request, view.study.id, query)
    return await page(
        request,
        "study.html",
        status,
        view=view,
        claim=view.claim,
        study_id=view.study.id,
        query=query,
        near=near,
        templates=site_of(request).settings.web.templates,
        kept=kept,
        report=report or kept,
        table=table_of(findings, notices),
        doubtful=doubtful_sentences({} if draft is None else draft.content),
        message=message,
        reason=reason,
        observer=observer,
    )


def _neighbours(request: Request, study_id: int, query: Query) -> Neighbours:
    """Return the neighbours of this study in the list from which it was opened.

    After a verdict the study is no longer in that list; its former neighbours are in the URL.
    """
    database, near = site_of(request).database, request.query_params.get("near", "")
    if near and not is_listed(database, study_id, query):
        before, _, after = near.partition(".")
        return Neighbours(previous=number_of(before) or None, next=number_of(after) or None)
    return read_neighbours(database, study_id, query)


async def findings(request: Request) -> Response:
    """The findings in the present text."""
    fields = await form_of(request)
    report = report_of(fields.get("findings", ""), fields.get("impression", ""))
    reading = await aside(read_findings, report)
    table = table_of(reading.findings, reading.notices)
    return await page(request, "findings.html", table=table)


async def template_check(request: Request) -> Response:
    """The findings that a text template would contradict or reverse: requested before it is inserted."""
    fields = await form_of(request)
    templates = site_of(request).settings.web.templates
    number = number_of(fields.get("template", ""))
    if number >= len(templates):
        raise NotFound("there is no such text template: reload the page")
    chosen = templates[number]
    before = report_of(fields.get("findings", ""), fields.get("impression", ""))
    after = report_of(fields.get("new_findings", ""), fields.get("new_impression", ""))
    alone = report_of(*((chosen.text, "") if chosen.section == "findings" else ("", chosen.text)))
    return JSONResponse({"opposed": await aside(opposed, before, after, alone)})


async def comparison(request: Request) -> Response:
    """Two revisions of a study, word by word."""
    site, study_id = site_of(request), row_of(request, "study_id")
    chosen = [number_of(request.query_params.get(name, "")) for name in ("before", "after")]
    before, after = await aside(read_revisions, site.database, study_id, *chosen)
    await aside(audit.record_action, site.database, person_of(request).actor, "view", study_id=study_id)
    sections = await aside(
        compare, drafted_report(before.content, before.text), drafted_report(after.content, after.text)
    )
    template = "comparison.html" if request.headers.get("hx-request") else "compare.html"
    return await page(request, template, before=before, after=after, sections=sections, study_id=study_id)


async def film(request: Request) -> Response:
    """One film at screen size, or whole (`size=full`), or its stored values (`size=stored`)."""
    site = site_of(request)
    study_id, instance_id = row_of(request, "study_id"), row_of(request, "instance_id")
    sha256 = await aside(find_film, site.database, study_id, instance_id)
    size = request.query_params.get("size")
    if size == "stored":
        found: EncodedFilm = await aside(site.films.stored, sha256)
    else:
        found = await aside(site.films.get, sha256, FULL_PX if size == "full" else SCREEN_PX)
    await aside(
        audit.record_action,
        site.database,
        person_of(request).actor,
        "image",
        study_id=study_id,
        instance_id=instance_id,
    )
    return Response(
        found.body,
        media_type="application/octet-stream",
        headers={"content-encoding": "gzip", "x-film": json.dumps(found.about)},
    )


async def judge(request: Request) -> Response:
    """Record a verdict; if it is refused, the page is shown again with the text as it was sent."""
    site, person = site_of(request), person_of(request)
    fields = await form_of(request)
    study_id = row_of(request, "study_id")
    if not person.may_judge:
        await aside(
            audit.record_action, site.database, person.actor, "verdict", study_id=study_id, succeeded=False
        )
        return await page(request, "refused.html", 403, message="Only a radiologist may accept or reject.")
    report = report_of(fields.get("findings", ""), fields.get("impression", ""))
    name = fields.get("observer", "").strip()[:64] if person.account is None else person.account.person_name
    kept: dict[str, Any] = {"report": report, "reason": fields.get("reason", ""), "observer": name}
    if not name.strip("^ "):
        return await _again(request, study_id, 422, "Say who you are: a verdict needs a name.", kept)
    standing = await aside(read_claim, site.database, study_id)
    if standing is not None and standing.holder != person.reader.holder:
        return await _again(request, study_id, 409, f"Not done: {standing.name} is reading this study.", kept)
    decision = verdict.SignOffDecision(
        study_id=study_id,
        draft_id=number_of(fields.get("draft", "")),
        revision=number_of(fields.get("revision", "")),
        report=None if fields.get("verdict") == "reject" else report,
        reason=fields.get("reason", ""),
    )
    observer = verdict.Observer(
        person_name=name.replace("\\", " ").replace("=", " "),
        user_id=None if person.account is None else person.account.id,
        actor=person.actor,
    )
    try:
        await aside(verdict.give, site.database, site.store, site.settings, decision, observer)
    except StaleEdit:
        message = (
            "Another revision of this study arrived while you were reading. Nothing was sent. Your text is "
            "kept below; the new draft is in the history. Please check it before you decide."
        )
        return await _again(request, study_id, 409, message, kept)
    except (AgentError, StructuredReportError) as error:
        return await _again(request, study_id, 422, f"Not done: {error}.", kept)
    await aside(release, site.database, person.reader, study_id)
    near = request.query_params.get("near", "")[:40]
    back = query_of(request.query_params).study(study_id, **({"near": near} if near else {}))
    return RedirectResponse(back, 303)


async def _again(
    request: Request, study_id: int, status: int, message: str, kept: dict[str, Any]
) -> Response:
    view = await aside(read_study_page, site_of(request).database, study_id)
    return await _study_page(request, view, status=status, message=message, **kept)

"""The observations from stored drafts, device by device, for drift detection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.tables import Draft, ShadowComparison, Study
from agent.shadow.observations import Observation, drafted_concepts
from model.findings.stored import finding_of

# Flags about the course of the study, not about its images or its text.
_OF_THE_COURSE = frozenset({"after_verification", "priors_unavailable"})


def stream_of(site: str, device: str) -> str:
    """Return the name of the stream for a device at a site."""
    return f"{site or '-'}: {device or 'unknown device'}"


def observations(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model_digest: str = "",
) -> list[Observation]:
    """Return the observations of the drafts made in [since, until), oldest first."""
    query = (
        select(Draft.content, Draft.created_at, Study.site, ShadowComparison.disagreements)
        .join(Study, Study.id == Draft.study_id)
        .outerjoin(ShadowComparison, ShadowComparison.draft_id == Draft.id)
        .where(Draft.outcome == "drafted")
        .order_by(Draft.created_at, Draft.id)
    )
    if since is not None:
        query = query.where(Draft.created_at >= since)
    if until is not None:
        query = query.where(Draft.created_at < until)
    if model_digest:
        query = query.where(Draft.model_digest.startswith(model_digest, autoescape=True))
    rows = session.execute(query.execution_options(yield_per=500))
    return [observation(content, at, site, disagreements) for content, at, site, disagreements in rows]


def observation(
    content: Mapping[str, Any], created_at: datetime, site: str, disagreements: int | None
) -> Observation:
    """Return the observation of a draft with this content; disagreements: None without a signed report."""
    given: Mapping[str, object] = content.get("input") or {}
    numbers, words = given.get("numbers"), given.get("words")
    flags = frozenset(flag["code"] for flag in content.get("flags") or ())
    return Observation(
        stream=stream_of(site, str(given.get("device") or "")),
        at=created_at,
        findings=drafted_concepts(finding_of(one) for one in content.get("findings") or ()),
        flags=flags - _OF_THE_COURSE,
        numbers=numbers if isinstance(numbers, dict) else {},
        words=words if isinstance(words, dict) else {},
        disagrees=None if disagreements is None else disagreements > 0,
    )

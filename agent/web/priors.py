"""Earlier studies of the same patient: those that the draft was compared with, and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.priors import ARCHIVE
from agent.database.tables import Draft, Study, Verdict
from agent.database.verified import verified_report
from agent.reports.earlier_studies import PriorStudy, StoredImage, earlier_here, images_of, priors_of

MOST_PRIORS = 5
_IMAGE_MODALITIES = ("CR", "DX", "DR", "OT", "SC", "RG", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """An earlier study of the same patient; `origin` describes the source of its text."""

    study_id: int
    study_date: str
    study_description: str
    text: str
    origin: str
    verified: bool
    films: Sequence[StoredImage]


def films_of(session: Session, study_id: int) -> list[StoredImage]:
    """Return the images of a study that the viewer can show, frontal views first."""
    return [one for one in images_of(session, study_id) if one.modality in _IMAGE_MODALITIES]


def read_priors(session: Session, study: Study) -> list[Prior]:
    """Return the earlier studies, the newest first: those that the draft was compared with, and others."""
    used = {one.study_id: one for one in priors_of(session, study)}
    rows = {one.id: one for one in earlier_here(session, study, MOST_PRIORS)}
    for number in used:
        if number not in rows:
            rows[number] = session.get_one(Study, number)
    newest = sorted(rows.values(), key=lambda one: (one.study_date, one.study_time), reverse=True)
    return [_prior(session, one, used.get(one.id)) for one in newest[:MOST_PRIORS]]


def _prior(session: Session, study: Study, used: PriorStudy | None) -> Prior:
    """A verified report takes precedence over the archive's report, which takes precedence over an
    unverified draft.
    """
    report = verified_report(session, study.id)
    ours = (
        report
        or session.scalars(
            select(Draft)
            .where(
                Draft.study_id == study.id,
                Draft.outcome == "drafted",
                Draft.shadow.is_(False),
                Draft.withdrawal.is_(None),
                Draft.id.not_in(select(Verdict.draft_id).where(Verdict.kind == "rejected")),
            )
            .order_by(Draft.id.desc())
            .limit(1)
        ).first()
    )
    verified = report is not None
    text, origin = (
        ("", "") if ours is None else (ours.text, "verified here" if verified else "unverified draft")
    )
    if not verified and used is not None and used.report and used.report_from == ARCHIVE:
        text, origin = used.report, "report from the archive"
    return Prior(
        study_id=study.id,
        study_date=study.study_date,
        study_description=study.study_description,
        text=text,
        origin=origin,
        verified=verified,
        films=films_of(session, study.id),
    )

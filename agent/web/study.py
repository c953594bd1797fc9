"""The content of a study's page, read in one short transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import Delivery, Draft, Instance, Job, Study, Verdict
from agent.foundation.errors import NotFound
from agent.reports.earlier_studies import StoredImage
from agent.web.claims import StudyClaim, claim_of
from agent.web.priors import Prior, films_of, read_priors


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One step of the study's history: what was drafted or decided, by whom, and whether it was sent."""

    draft_id: int
    revision: int
    outcome: str
    text: str
    author: str
    reason: str
    at: datetime
    delivery: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study with its newest draft, the software's draft that it is based on, and its history.

    `standing` is the verified report that remains valid until the next verdict although newer images came.
    """

    study: Study
    draft: Draft | None
    drafted: Draft | None
    standing: Revision | None
    films: Sequence[StoredImage]
    priors: Sequence[Prior]
    history: Sequence[Revision]
    under_way: bool
    claim: StudyClaim | None
    now: datetime


def read_study_page(database: Database, study_id: int) -> StudyView:
    """Read one study.

    Raises:
        NotFound: there is no such study.
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        study = session.get(Study, study_id)
        if study is None:
            raise NotFound("there is no such study")
        shown = Draft.study_id == study_id, Draft.shadow.is_(False)
        drafts = session.scalars(select(Draft).where(*shown).order_by(Draft.id)).all()
        draft = drafts[-1] if drafts else None
        under_way = session.scalar(
            select(Job.id).where(
                Job.study_id == study_id, Job.state.in_(("RECEIVING", "QUEUED", "GENERATING"))
            )
        )
        history = _history(session, study_id, drafts)
        now = database_now(session)
        return StudyView(
            study=study,
            draft=draft,
            drafted=next((one for one in reversed(drafts) if one.outcome == "drafted"), None),
            films=films_of(session, study_id),
            priors=read_priors(session, study),
            standing=_standing(history, newer_images=study.revision > (draft.revision if draft else 0)),
            history=history,
            under_way=under_way is not None,
            claim=claim_of(session, study_id, now),
            now=now,
        )


def find_film(database: Database, study_id: int, instance_id: int) -> str:
    """Return the digest of an image of a study.

    Raises:
        NotFound: the study has no such image, or it was purged.
    """
    with database.reading() as session:
        row = session.get(Instance, instance_id)
        if row is None or row.study_id != study_id or row.purged_at is not None:
            raise NotFound("the study has no such image")
        return row.sha256


def _standing(history: Sequence[Revision], *, newer_images: bool) -> Revision | None:
    """Return the last verified report while newer images, or a draft of them, await the next verdict."""
    for place, one in enumerate(history):
        if one.outcome == "verified":
            return one if place > 0 or newer_images else None
        if one.outcome == "rejected":
            return None
    return None


def read_state(database: Database, study_id: int) -> tuple[int, int]:
    """Return a study's newest draft (0: none) and its revision: a verdict on any other is refused.

    Raises:
        NotFound: there is no such study.
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        revision = session.scalar(select(Study.revision).where(Study.id == study_id))
        if revision is None:
            raise NotFound("there is no such study")
        shown = Draft.study_id == study_id, Draft.shadow.is_(False)
        return session.scalar(select(func.max(Draft.id)).where(*shown)) or 0, revision


def read_revisions(database: Database, study_id: int, before: int, after: int) -> tuple[Draft, Draft]:
    """Return two drafts or reports of a study.

    Raises:
        NotFound: the study has no such draft.
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        rows = {one: session.get(Draft, one) for one in (before, after)}
        first, second = rows[before], rows[after]
        if first is None or second is None or {first.study_id, second.study_id} != {study_id}:
            raise NotFound("the study has no such revision")
        if first.shadow or second.shadow:
            raise NotFound("the study has no such revision")
        return first, second


def _history(session: Session, study_id: int, drafts: Sequence[Draft]) -> list[Revision]:
    verdicts = {
        one.result_id: one for one in session.scalars(select(Verdict).where(Verdict.study_id == study_id))
    }
    states: dict[int, list[str]] = {}
    sent = select(Delivery.job_id, Delivery.state).join(Job, Job.id == Delivery.job_id)
    for job_id, state in session.execute(sent.where(Job.study_id == study_id)):
        states.setdefault(job_id, []).append(state)
    return [
        Revision(
            draft_id=draft.id,
            revision=draft.revision,
            outcome=draft.outcome,
            text=draft.text,
            author=verdicts[draft.id].observer_name if draft.id in verdicts else draft.model_name,
            reason=verdicts[draft.id].reason
            if draft.id in verdicts
            else str(draft.content.get("reason", "")),
            at=draft.created_at,
            delivery=_sent(states.get(draft.job_id, [])),
        )
        for draft in reversed(drafts)
    ]


def _sent(states: Sequence[str]) -> str:
    if not states:
        return "kept here"
    if "DEAD" in states:
        return "not delivered"
    return (
        "in the PACS"
        if all(one in ("STORED", "COMMITTED", "UNCOMMITTED") for one in states)
        else "being sent"
    )

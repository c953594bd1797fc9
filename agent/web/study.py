"""All that the page of one study shows, read in one short transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.db.session import Database, database_now
from agent.db.tables import Delivery, Draft, Instance, Job, Study, Verdict
from agent.errors import NotFound

MOST_PRIORS = 5
_IMAGE_MODALITIES = ("CR", "DX", "DR", "OT", "SC", "RG", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmLine:
    """One image that can be shown."""

    instance_id: int
    view_position: str
    modality: str


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
class Prior:
    """An earlier study of the same patient."""

    study_id: int
    study_date: str
    study_description: str
    text: str
    films: Sequence[FilmLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study with its newest draft, the software's draft that it goes back to, and its history."""

    study: Study
    draft: Draft | None
    drafted: Draft | None
    films: Sequence[FilmLine]
    priors: Sequence[Prior]
    history: Sequence[Revision]
    under_way: bool
    now: datetime


def read_study(database: Database, study_id: int) -> StudyView:
    """Read one study.

    Raises:
        NotFound: there is no such study.
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        study = session.get(Study, study_id)
        if study is None:
            raise NotFound("there is no such study")
        drafts = session.scalars(select(Draft).where(Draft.study_id == study_id).order_by(Draft.id)).all()
        draft = drafts[-1] if drafts else None
        under_way = session.scalar(
            select(Job.id).where(
                Job.study_id == study_id, Job.state.in_(("RECEIVING", "QUEUED", "GENERATING"))
            )
        )
        return StudyView(
            study=study,
            draft=draft,
            drafted=next((one for one in reversed(drafts) if one.outcome == "drafted"), None),
            films=_films(session, study_id),
            priors=_priors(session, study),
            history=_history(session, study_id, drafts),
            under_way=under_way is not None,
            now=database_now(session),
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


def _films(session: Session, study_id: int) -> list[FilmLine]:
    rows = session.scalars(
        select(Instance)
        .where(Instance.study_id == study_id, Instance.purged_at.is_(None))
        .order_by(Instance.id)
    ).all()
    newest = {row.sop_instance_uid: row for row in rows if row.modality in _IMAGE_MODALITIES}
    films = [
        FilmLine(instance_id=row.id, view_position=row.view_position, modality=row.modality)
        for row in newest.values()
    ]
    return sorted(films, key=lambda film: film.view_position.upper() not in ("PA", "AP"))


def _priors(session: Session, study: Study) -> list[Prior]:
    if not study.patient_id:
        return []
    earlier = session.scalars(
        select(Study)
        .where(
            Study.patient_id == study.patient_id,
            Study.issuer_of_patient_id == study.issuer_of_patient_id,
            Study.patient_birth_date == study.patient_birth_date,
            Study.id != study.id,
            Study.study_date != "",
            Study.study_date + Study.study_time < study.study_date + study.study_time,
        )
        .order_by(Study.study_date.desc(), Study.study_time.desc())
        .limit(MOST_PRIORS)
    ).all()
    return [
        Prior(
            study_id=one.id,
            study_date=one.study_date,
            study_description=one.study_description,
            text=session.scalar(
                select(Draft.text).where(Draft.study_id == one.id).order_by(Draft.id.desc()).limit(1)
            )
            or "",
            films=_films(session, one.id),
        )
        for one in earlier
    ]


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
    return "in the PACS" if all(one in ("STORED", "COMMITTED") for one in states) else "being sent"

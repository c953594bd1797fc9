"""Earlier studies of a patient: which of them a study is compared with, and their status.

An earlier study is an ordinary row in `studies`, marked `prior` until it is sent to be drafted.
Nothing here asks the archive (`agent.priors.fetch` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.tables import Draft, Instance, Job, PriorLink, PriorSearch, Study
from agent.foundation.errors import PatientConflict
from agent.foundation.settings.tree import PriorSettings
from agent.objects.header import STAT_PRIORITY
from agent.objects.identity import same_patient
from agent.queue.gate import patient_of_study
from dicom_sr.narrative import shortened

FOUND, NONE_FOUND, NOT_ASKED, LATE = "priors-found", "priors-none", "priors-not-asked", "priors-late"
# Outcomes that are not failures: nothing to find, or no key to search by.
ENDED_WELL = frozenset({FOUND, NONE_FOUND, NOT_ASKED})
PATIENT_MISMATCH, NOT_RECEIVED = "patient-mismatch", "priors-not-received"
OURS, ARCHIVE = "ours", "archive"
LONGEST_REPORT = 1500
REPORT_MODALITY = "SR"
_FRONTAL = ("PA", "AP")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorImage:
    """An image of an earlier study."""

    instance_id: int
    sha256: str
    view_position: str
    modality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorStudy:
    """An earlier study that a study is compared with; `report_from` is ours, archive, or empty."""

    study_id: int
    study_instance_uid: str
    study_date: str
    study_time: str
    study_description: str
    images: Sequence[PriorImage]
    report: str
    report_from: str


def begin_search(session: Session, job: Job, settings: PriorSettings, now: datetime) -> None:
    """Let a job that has just been queued wait for its earlier studies, at most for the time budget."""
    if not settings.enabled:
        return
    stat = job.priority == STAT_PRIORITY
    budget_s = settings.stat_time_budget_s if stat else settings.time_budget_s
    deadline = now + timedelta(seconds=budget_s)
    search = session.get(PriorSearch, job.id)
    if search is None:
        session.add(PriorSearch(job_id=job.id, deadline=deadline))
        job.run_after = deadline


def priors_of(session: Session, study: Study) -> list[PriorStudy]:
    """Return the earlier studies that a study is compared with, the newest first."""
    job_id = session.scalar(
        select(PriorLink.job_id)
        .where(PriorLink.study_id == study.id)
        .order_by(PriorLink.job_id.desc())
        .limit(1)
    )
    return [] if job_id is None else priors_of_job(session, study, job_id)


def priors_of_job(session: Session, study: Study, job_id: int) -> list[PriorStudy]:
    """Return the earlier studies that one job's draft is compared with, the newest first."""
    rows = session.execute(
        select(PriorLink, Study)
        .join(Study, Study.id == PriorLink.prior_id)
        .where(PriorLink.job_id == job_id)
        .order_by(Study.study_date.desc(), Study.study_time.desc())
    ).all()
    wanted = patient_of_study(study)
    return [
        PriorStudy(
            study_id=prior.id,
            study_instance_uid=prior.study_instance_uid,
            study_date=prior.study_date,
            study_time=prior.study_time,
            study_description=prior.study_description,
            images=_images(session, prior.id),
            report=link.report,
            report_from=link.report_from,
        )
        for link, prior in rows
        if prior.conflict != PatientConflict.code and same_patient(wanted, patient_of_study(prior))
    ]


def our_report(session: Session, study_instance_uid: str) -> str:
    """Return the text of a study's report that a radiologist verified here; empty where there is none."""
    text = session.scalar(
        select(Draft.text)
        .join(Study, Study.id == Draft.study_id)
        .where(
            Study.study_instance_uid == study_instance_uid,
            Draft.outcome == "verified",
            Draft.withdrawal.is_(None),
        )
        .order_by(Draft.id.desc())
        .limit(1)
    )
    return shortened(" ".join((text or "").split()), LONGEST_REPORT)


def spoken_date(value: str) -> str:
    """Return a DA value in the form 2026-01-31."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}"


def _images(session: Session, study_id: int) -> list[PriorImage]:
    rows = session.scalars(
        select(Instance)
        .where(Instance.study_id == study_id, Instance.purged_at.is_(None))
        .order_by(Instance.id)
    )
    newest = {row.sop_instance_uid: row for row in rows if row.modality != REPORT_MODALITY}
    images = [
        PriorImage(
            instance_id=row.id, sha256=row.sha256, view_position=row.view_position, modality=row.modality
        )
        for row in newest.values()
    ]
    return sorted(images, key=lambda one: one.view_position.upper() not in _FRONTAL)

"""A patient's earlier studies that are stored here, and those that a draft is compared with.

An earlier study is an ordinary row in `studies`; its instances are marked `prior` until it is sent to be
drafted itself. Nothing here queries the archive (`agent.retrieve.priors.fetch` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from agent.database.identity.patient import patient_of_row, same_patient
from agent.database.priors import REPORT_MODALITY
from agent.database.states import REJECTED
from agent.database.tables import Instance, PriorLink, Study
from agent.foundation.errors import PatientConflict
from agent.objects.earlier import is_earlier
from agent.objects.films.choosing.view import view_by_position
from agent.objects.rejection_note import NOTE_CLASS

# As for a draft: an image that does not state its view counts as frontal rather than as lateral.
_READING_ORDER = ("frontal", "unknown", "lateral")


# Objects of a study that are no image: reports, and Key Object Selections such as rejection notes.
_DOCUMENTS = (REPORT_MODALITY, "KO")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of a study that is still stored."""

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
    images: Sequence[StoredImage]
    report: str
    report_from: str


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
    wanted = patient_of_row(study)
    return [
        PriorStudy(
            study_id=prior.id,
            study_instance_uid=prior.study_instance_uid,
            study_date=prior.study_date,
            study_time=prior.study_time,
            study_description=prior.study_description,
            images=images_of(session, prior.id),
            report=link.report,
            report_from=link.report_from,
        )
        for link, prior in rows
        if prior.conflict != PatientConflict.code and same_patient(wanted, patient_of_row(prior))
    ]


def earlier_here(session: Session, study: Study, most: int) -> list[Study]:
    """Return the patient's earlier studies that are stored here, the newest first, at most `most`.

    Studies whose images name different patients are left out.
    """
    if not study.patient_id or not study.study_date:
        return []
    patient, here = patient_of_row(study), exists().where(Instance.study_id == Study.id)
    candidates = session.scalars(
        select(Study)
        .where(
            Study.patient_id == study.patient_id,
            Study.id != study.id,
            Study.study_date != "",
            Study.study_date <= study.study_date,
            Study.conflict.is_distinct_from(PatientConflict.code),
            # Of a study that only a rejection note names, nothing is here.
            or_(
                ~here.where(Instance.sop_class_uid == NOTE_CLASS),
                here.where(Instance.sop_class_uid != NOTE_CLASS),
            ),
        )
        .order_by(Study.study_date.desc(), Study.study_time.desc())
    )
    earlier = (
        one
        for one in candidates
        if same_patient(patient, patient_of_row(one))
        and is_earlier(one.study_date, one.study_time, than_date=study.study_date, than_time=study.study_time)
    )
    return list(islice(earlier, most))


def spoken_date(value: str) -> str:
    """Return a DA value in the form 2026-01-31."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}"


def images_of(session: Session, study_id: int) -> list[StoredImage]:
    """Return a study's images that are still here, frontal views first, lateral ones last; of two
    contents of one image the newer one. An image that a rejection note has taken back is left out.
    """
    rows = session.scalars(
        select(Instance)
        .where(Instance.study_id == study_id, Instance.purged_at.is_(None))
        .order_by(Instance.id)
    )
    newest = {row.sop_instance_uid: row for row in rows if row.modality not in _DOCUMENTS}
    images = [
        StoredImage(
            instance_id=row.id, sha256=row.sha256, view_position=row.view_position, modality=row.modality
        )
        for row in newest.values()
        if row.skipped_by != REJECTED
    ]
    return sorted(images, key=lambda one: _READING_ORDER.index(view_by_position(one.view_position)))

"""The choice of a patient's earlier studies among an archive's answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.database.identity.patient import Patient, same_patient
from agent.network.query_scu import FoundStudy
from agent.objects.earlier import is_earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorChoice:
    """Studies to compare with, the newest first, and how many answers may belong to another patient."""

    studies: tuple[FoundStudy, ...]
    refused: int


def choose_priors(
    found: Sequence[FoundStudy],
    patient: Patient,
    *,
    uid: str,
    before: str,
    modalities: Sequence[str],
) -> PriorChoice:
    """Choose among an archive's answers.

    uid: the Study Instance UID of the new study, which is not one of its own earlier studies.
    before: its date and time, a DA and a TM value joined; on the same day an earlier time counts.
    modalities: an earlier study that states its modalities must have one of these.

    If the issuer of the patient ID is unknown and the archive's answers name several issuers, the answers may
    belong to several patients: then no study is chosen.
    """
    others = [one for one in found if one.study_instance_uid and one.study_instance_uid != uid]
    issuers = {one.issuer_of_patient_id for one in others if one.issuer_of_patient_id}
    if not patient.issuer_of_patient_id and len(issuers) > 1:
        return PriorChoice(studies=(), refused=len(others))
    theirs = [one for one in others if same_patient(patient, _patient(one))]
    wanted = {one.upper() for one in modalities}
    earlier = {
        one.study_instance_uid: one
        for one in theirs
        if is_earlier(one.study_date, one.study_time, than_date=before[:8], than_time=before[8:])
        and (not one.modalities or wanted & {m.upper() for m in one.modalities})
    }
    newest_first = sorted(earlier.values(), key=lambda one: (one.study_date, one.study_time), reverse=True)
    return PriorChoice(studies=tuple(newest_first), refused=len(others) - len(theirs))


def earliest(study_date: str, maximum_age_days: int) -> str:
    """Return the first day (DA) of the search for a valid study date; otherwise the date itself."""
    try:
        day = datetime.strptime(study_date, "%Y%m%d")
        return (day - timedelta(days=maximum_age_days)).strftime("%Y%m%d").rjust(8, "0")
    except (ValueError, OverflowError):
        return study_date


def _patient(one: FoundStudy) -> Patient:
    return Patient(
        patient_id=one.patient_id,
        issuer_of_patient_id=one.issuer_of_patient_id,
        patient_birth_date=one.patient_birth_date,
        patient_sex=one.patient_sex,
    )

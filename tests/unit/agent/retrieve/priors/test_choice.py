"""Rules of choice among an archive's answers: earlier, a radiograph, and of the same patient."""

from __future__ import annotations

from typing import Any

import pytest

from agent.database.identity.patient import Patient, same_patient
from agent.network.query_scu import FoundStudy
from agent.retrieve.priors.choice import PriorChoice, choose_priors, earliest

PATIENT = Patient(patient_id="P1", issuer_of_patient_id="", patient_birth_date="19700101", patient_sex="F")


def found(uid: str = "1.2.1", **changes: Any) -> FoundStudy:
    """An answer of the archive."""
    values: dict[str, Any] = {
        "study_instance_uid": uid,
        "study_date": "20250101",
        "study_time": "120000",
        "study_description": "",
        "modalities": ("DX",),
        "instances": 1,
        "patient_id": "P1",
        "issuer_of_patient_id": "",
        "patient_birth_date": "19700101",
        "patient_sex": "F",
    }
    return FoundStudy(**(values | changes))


def chosen(*answers: FoundStudy, before: str = "20260101120000") -> PriorChoice:
    """Choose for a study of that date and time."""
    return choose_priors(answers, PATIENT, uid="1.2.9", before=before, modalities=("CR", "DX"))


def uids(choice: PriorChoice) -> list[str]:
    """The chosen studies."""
    return [one.study_instance_uid for one in choice.studies]


def test_newest_comes_first_and_each_once() -> None:
    """The order of the answers does not matter."""
    old, new = found("1.2.1", study_date="20240101"), found("1.2.2", study_date="20250101")
    assert uids(chosen(old, new, old)) == ["1.2.2", "1.2.1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": "1.2.9"},
        {"study_date": "20260102"},
        {"study_date": "20260101", "study_time": "120000"},
        {"study_date": "20260101", "study_time": "1300"},
        {"study_date": "20260101", "study_time": ""},
        {"study_date": ""},
        {"modalities": ("CT", "SR")},
    ],
)
def test_what_is_no_earlier_radiograph_is_left_out(changes: dict[str, Any]) -> None:
    """The study itself, a later one, one of unknown date or time, and another modality are left out."""
    assert chosen(found(**changes)) == PriorChoice(studies=(), refused=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"study_date": "20260101", "study_time": "1159"},
        {"study_date": "20260101", "study_time": "115959.9"},
        {"modalities": ("SR", "cr")},
        {"modalities": ()},
        {"patient_birth_date": "", "patient_sex": ""},
        {"patient_sex": "unknown"},
        {"issuer_of_patient_id": "HOSPITAL"},
    ],
)
def test_what_may_be_an_earlier_radiograph_is_taken(changes: dict[str, Any]) -> None:
    """An attribute that is missing on one side contradicts nothing."""
    assert uids(chosen(found(**changes))) == ["1.2.1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"patient_id": "P2"},
        {"patient_id": "p1"},
        {"patient_id": ""},
        {"patient_birth_date": "19700102"},
        {"patient_sex": "M"},
    ],
)
def test_study_of_another_patient_is_refused_and_counted(changes: dict[str, Any]) -> None:
    """An archive's answer with another patient's study is not accepted."""
    assert chosen(found(**changes)) == PriorChoice(studies=(), refused=1)


def test_several_issuers_are_several_patients() -> None:
    """A patient ID without an issuer that two issuers have assigned identifies no patient."""
    answers = (found("1.2.1", issuer_of_patient_id="A"), found("1.2.2", issuer_of_patient_id="B"))
    assert chosen(*answers) == PriorChoice(studies=(), refused=2)


def test_same_patient_needs_a_known_identifier() -> None:
    """Images without a patient ID are not of the same patient, nor are those of different issuers."""
    nobody = Patient(patient_id="", issuer_of_patient_id="", patient_birth_date="", patient_sex="")
    ours = Patient(patient_id="P1", issuer_of_patient_id="A", patient_birth_date="", patient_sex="")
    theirs = Patient(patient_id="P1", issuer_of_patient_id="B", patient_birth_date="", patient_sex="")
    assert [same_patient(nobody, nobody), same_patient(ours, theirs), same_patient(ours, PATIENT)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("day", "expected"), [("20260101", "20251231"), ("20260230", "20260230"), ("00010101", "00010101")]
)
def test_earliest_day_is_bounded(day: str, expected: str) -> None:
    """An invalid day, or one without a day before it, limits the search to itself."""
    assert earliest(day, 1) == expected

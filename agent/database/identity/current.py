"""A patient's present identity, after the merges and changes that the RIS has reported.

Images keep the identity that they were made with. New documents carry the present one, and two identities of
one patient do not contradict each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.identity.patient import Patient, contradicts
from agent.database.orders import KnownPatient
from agent.database.session import Database

Resolve = Callable[[Patient], Patient]
# A chain of merges is short; a cycle, which a RIS could send, ends here.
_LONGEST_CHAIN = 20
_VALUES = ("patient_name", "patient_birth_date", "patient_sex")


def as_stated(patient: Patient) -> Patient:
    """Return the patient as named, for callers that know of no merges."""
    return patient


def resolver(database: Database) -> Resolve:
    """Return a function from a patient to the present identity; it caches, so use it for a single task."""
    known: dict[Patient, Patient] = {}

    def resolve(patient: Patient) -> Patient:
        if patient not in known:
            with database.reading() as session:
                known[patient] = current(session, patient)
        return known[patient]

    return resolve


def current(session: Session, patient: Patient) -> Patient:
    """Return a patient's present identity; the given one if no change is known."""
    row = find(session, patient)
    if row is None:
        return patient
    followed = {row.id}
    while row.merged_into is not None and len(followed) < _LONGEST_CHAIN:
        following = session.get(KnownPatient, row.merged_into)
        if following is None or following.id in followed:
            break
        row = following
        followed.add(row.id)
    moved = len(followed) > 1
    stated = {name: value for name in _VALUES if (value := getattr(row, name))}
    return replace(
        patient,
        patient_id=row.patient_id,
        issuer_of_patient_id=row.issuer_of_patient_id
        if moved or row.issuer_of_patient_id
        else patient.issuer_of_patient_id,
        **stated,
    )


def find(session: Session, patient: Patient) -> KnownPatient | None:
    """Return a patient's row by its identifier; None if several share it and none fits exactly."""
    if not patient.patient_id.strip():
        return None
    bare = Patient(patient_id=patient.patient_id, issuer_of_patient_id=patient.issuer_of_patient_id)
    rows = session.scalars(
        select(KnownPatient).where(KnownPatient.patient_id == patient.patient_id.strip())
    ).all()
    fitting = [row for row in rows if not contradicts(bare, identifier_of(row))]
    exact = [row for row in fitting if row.issuer_of_patient_id == patient.issuer_of_patient_id]
    if exact:
        return exact[0]
    return fitting[0] if len(fitting) == 1 else None


def identifier_of(row: KnownPatient) -> Patient:
    """Return a row's identifier alone."""
    return Patient(patient_id=row.patient_id, issuer_of_patient_id=row.issuer_of_patient_id)

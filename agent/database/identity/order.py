"""Finds the order that a study fulfils: by Study Instance UID, else by accession number, for the same
patient.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.identity.current import current
from agent.database.identity.patient import Patient, contradicts, patient_of_row
from agent.database.orders import Order
from agent.database.tables import Study


def order_of(session: Session, study: Study) -> Order | None:
    """Return the order of a study; None if there is none, or several, or only another patient's."""
    patient = current(session, patient_of_row(study))
    return find_order(session, study.study_instance_uid, study.accession_number, patient)


def find_order(
    session: Session, study_instance_uid: str, accession_number: str, patient: Patient
) -> Order | None:
    """Return the order that a study with these attributes fulfils.

    An accession number that two open orders share identifies neither.
    """
    by_uid = session.scalars(
        select(Order).where(Order.study_instance_uid == study_instance_uid, Order.canceled.is_(False))
    ).all()
    if not by_uid and not accession_number.strip():
        return None
    rows = (
        by_uid
        or session.scalars(
            select(Order).where(Order.accession_number == accession_number.strip(), Order.canceled.is_(False))
        ).all()
    )
    fitting = [
        row
        for row in rows
        if row.study_instance_uid in ("", study_instance_uid)
        and not contradicts(current(session, patient_of_order(row)), _identifier(patient))
    ]
    return fitting[0] if len(fitting) == 1 else None


def patient_of_order(order: Order) -> Patient:
    """Return the patient that an order names."""
    return Patient(patient_id=order.patient_id, issuer_of_patient_id=order.issuer_of_patient_id)


def _identifier(patient: Patient) -> Patient:
    return Patient(patient_id=patient.patient_id, issuer_of_patient_id=patient.issuer_of_patient_id)

"""Refuses messages that cannot be applied although they may concern stored studies.

When an account, a visit or an identifier moves to another patient, studies may move with it, but no message
says which; and a message that undoes a merge does not say whose the merged studies were. A person must
decide.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.identity.current import current, find
from agent.database.identity.patient import Patient, contradicts
from agent.database.tables import Study
from agent.foundation.errors import MessageRefused
from agent.ris.updates import NotApplied


def refuse_doubtful(session: Session, notice: NotApplied) -> None:
    """Accept a notice that concerns no stored study and no merge that was applied here.

    Raises:
        MessageRefused: it concerns one; the text says what a person must do.
    """
    if any(_has_studies(session, current(session, one)) for one in notice.doubtful):
        raise MessageRefused(
            "something of this patient was moved to another one, and studies of this patient are here: "
            "correct the patient of those that moved in the archive, and send them again"
        )
    known = [one for one in notice.split if find(session, one) is not None]
    present = {_identifier(current(session, one)) for one in known}
    if len(present) < len({_identifier(one) for one in known}):
        raise MessageRefused(
            "the two patients were merged by an earlier message, which is not undone: correct the patient "
            "of the studies in the archive, and send them again"
        )


def _identifier(patient: Patient) -> tuple[str, str]:
    return patient.patient_id, patient.issuer_of_patient_id


def _has_studies(session: Session, patient: Patient) -> bool:
    studies = session.scalars(select(Study).where(Study.patient_id == patient.patient_id)).all()
    bare = (
        Patient(patient_id=row.patient_id, issuer_of_patient_id=row.issuer_of_patient_id) for row in studies
    )
    return any(not contradicts(patient, one) for one in bare)

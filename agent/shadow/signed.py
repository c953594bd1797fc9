"""Finds the valid signed report of a study."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from agent.database.identity.current import current
from agent.database.identity.patient import Patient, contradicts
from agent.database.signed_text import CORRECTED as CORRECTED
from agent.database.signed_text import FINAL as FINAL
from agent.database.signed_text import WITHDRAWN
from agent.database.signed_text import SignedText as SignedText
from agent.database.signed_text import enter as enter
from agent.database.tables import SignedReport, Study


def names_study() -> ColumnElement[bool]:
    """Whether a report is one of a study by its UID."""
    return SignedReport.study_instance_uid == Study.study_instance_uid


def names_accession() -> ColumnElement[bool]:
    """Whether a report without a UID is one of a study by its accession number and its patient.

    Accession numbers alone recur. A patient who was merged has another number in the report; the message of
    the RIS was assigned to the study by the present one.
    """
    return and_(
        SignedReport.study_instance_uid == "",
        SignedReport.accession_number != "",
        SignedReport.accession_number == Study.accession_number,
        SignedReport.patient_id != "",
        or_(SignedReport.patient_id == Study.patient_id, SignedReport.study_id == Study.id),
    )


def reports_of(session: Session, study: Study) -> Sequence[SignedReport]:
    """Return the reports that name a study, the one signed last first."""
    return session.scalars(
        select(SignedReport)
        .join(Study, or_(names_study(), names_accession()))
        .where(Study.id == study.id)
        .order_by(SignedReport.signed_at.desc(), SignedReport.id.desc())
    ).all()


def standing_report(session: Session, study: Study) -> SignedReport | None:
    """Return the report of a study's patient that was signed last; None if there is none, or it was
    withdrawn.
    """
    own = (one for one in reports_of(session, study) if not other_patient(session, one, study))
    newest = next(own, None)
    return None if newest is None or newest.status == WITHDRAWN else newest


def other_patient(session: Session, report: SignedReport, study: Study) -> bool:
    """Whether a report names another patient than its study does, where both name one.

    With the study's UID the identifier decides; an accession number may be another hospital's, so the issuers
    must not differ either.
    """
    if not report.patient_id or not study.patient_id:
        return False
    exact = bool(report.study_instance_uid)
    return contradicts(_identity(session, report, exact), _identity(session, study, exact))


def _identity(session: Session, row: SignedReport | Study, exact: bool) -> Patient:
    """Return the present identifier of the patient that a row names; its issuer unless the UID decides."""
    stated = Patient(patient_id=row.patient_id, issuer_of_patient_id=row.issuer_of_patient_id)
    present = current(session, stated)
    issuer = "" if exact else present.issuer_of_patient_id
    return Patient(patient_id=present.patient_id, issuer_of_patient_id=issuer)

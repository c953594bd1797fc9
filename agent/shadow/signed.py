"""Finds the valid signed report of a study."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent.database.signed_text import CORRECTED as CORRECTED
from agent.database.signed_text import FINAL as FINAL
from agent.database.signed_text import WITHDRAWN
from agent.database.signed_text import SignedText as SignedText
from agent.database.signed_text import enter as enter
from agent.database.tables import SignedReport, Study


def standing_report(session: Session, study: Study) -> SignedReport | None:
    """Return the report of a study that was signed last; None if there is none, or it was withdrawn.

    A report that names the study's UID is its own. One that names only the accession number must also name
    the study's patient, because accession numbers recur.
    """
    same_accession = SignedReport.accession_number == study.accession_number
    by_accession = (
        (SignedReport.study_instance_uid == "")
        & same_accession
        & (SignedReport.patient_id == study.patient_id)
    )
    whose = SignedReport.study_instance_uid == study.study_instance_uid
    if study.accession_number and study.patient_id:
        whose = or_(whose, by_accession)
    newest = session.scalar(
        select(SignedReport)
        .where(whose)
        .order_by(SignedReport.signed_at.desc(), SignedReport.id.desc())
        .limit(1)
    )
    return None if newest is None or newest.status == WITHDRAWN else newest


def other_patient(report: SignedReport, study: Study) -> bool:
    """Whether a report and its study name different patients."""
    return bool(report.patient_id and study.patient_id) and report.patient_id != study.patient_id

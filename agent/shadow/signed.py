"""Enters signed reports: once each, whoever brings them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent.database.tables import SignedReport, Study

Source = Literal["hl7", "sr", "fhir", "csv"]
FINAL, CORRECTED, WITHDRAWN = "F", "C", "X"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedText:
    """A signed report as its source states it; `key` is the same whenever this report comes again.

    Either `study_instance_uid` or `accession_number` says whose it is. status: F, C or X (withdrawn).
    """

    source: Source
    key: str
    text: str
    signed_at: datetime
    study_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    status: str = FINAL
    signed_by: str = ""


def enter(session: Session, signed: SignedText, now: datetime) -> bool:
    """Write a signed report; False if it is known already, and then nothing is written."""
    known = select(SignedReport.id).where(
        SignedReport.source == signed.source, SignedReport.source_key == signed.key
    )
    if session.scalar(known) is not None:
        return False
    session.add(
        SignedReport(
            source=signed.source,
            source_key=signed.key,
            study_instance_uid=signed.study_instance_uid,
            accession_number=signed.accession_number,
            patient_id=signed.patient_id,
            issuer_of_patient_id=signed.issuer_of_patient_id,
            status=signed.status,
            signed_by=signed.signed_by,
            signed_at=signed.signed_at,
            text=signed.text,
            received_at=now,
        )
    )
    session.flush()
    return True


def standing_report(session: Session, study: Study) -> SignedReport | None:
    """Return the signed report of a study that was signed last; None if there is none, or it was withdrawn.

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
    """Whether a report names another patient than its study does, where both name one."""
    return bool(report.patient_id and study.patient_id) and report.patient_id != study.patient_id

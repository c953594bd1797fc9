"""Enters signed reports, each once, whatever their source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.signed import SignedReport

Source = Literal["hl7", "sr", "fhir", "csv"]
FINAL, CORRECTED, WITHDRAWN = "F", "C", "X"
# Why a report is not compared: it adds to one that is not here, and says nothing of what that one said.
ADDENDUM_ALONE = "addendum-alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedText:
    """A signed report as its source states it; `key` is the same whenever this report comes again.

    Either `study_instance_uid` or `accession_number` identifies the study. status: F, C or X (withdrawn).
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
    """Write a signed report; if it is already known, write nothing and return False."""
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

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
_CHARACTERS = {
    **dict.fromkeys((*range(1, 9), *range(11, 32), *range(127, 160)), " "),
    **dict.fromkeys((0, 0xAD, 0x200B, 0x2060, 0xFEFF)),
}
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


def storable(text: str) -> str:
    """Return text that every database can hold and a rule can read.

    A line ends with LF; NUL, halves of surrogate pairs, soft hyphens and zero-width spaces are no part of
    words, other control characters are spaces.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CHARACTERS)
    return lines.encode("utf-8", "replace").decode("utf-8")


def enter(session: Session, signed: SignedText, now: datetime) -> bool:
    """Write a signed report; if it is already known, write nothing and return False."""
    key = storable(signed.key)
    known = select(SignedReport.id).where(
        SignedReport.source == signed.source, SignedReport.source_key == key
    )
    if session.scalar(known) is not None:
        return False
    session.add(
        SignedReport(
            source=signed.source,
            source_key=key,
            study_instance_uid=storable(signed.study_instance_uid),
            accession_number=storable(signed.accession_number),
            patient_id=storable(signed.patient_id),
            issuer_of_patient_id=storable(signed.issuer_of_patient_id),
            status=signed.status,
            signed_by=storable(signed.signed_by),
            signed_at=signed.signed_at,
            text=storable(signed.text),
            received_at=now,
        )
    )
    session.flush()
    return True

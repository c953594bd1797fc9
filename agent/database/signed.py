"""The tables of shadow mode: reports signed elsewhere, and their comparison with the drafts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId


class SignedReport(Base):
    """One report that a person signed elsewhere, as received. Rows are added, and only their match ever
    changes.

    A correction is a separate row; the report signed last counts.
    """

    __tablename__ = "signed_reports"
    __table_args__ = (
        UniqueConstraint("source", "source_key"),
        Index("ix_signed_reports_study", "study_id"),
        Index("ix_signed_reports_uid", "study_instance_uid"),
        Index("ix_signed_reports_accession", "accession_number"),
        # Reports not yet compared (null), in the order of arrival.
        Index("ix_signed_reports_open", "compared_at", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # hl7 | sr | fhir | csv
    source: Mapped[str] = mapped_column(String(8))
    # Identifies the report if it arrives again: MSH-10, SOP Instance UID, resource and version, or the digest
    # of the line.
    source_key: Mapped[str] = mapped_column(String(200))
    study_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    accession_number: Mapped[str] = mapped_column(Text, default="")
    patient_id: Mapped[str] = mapped_column(Text, default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, default="")
    # F final | C corrected | X withdrawn (HL7 table 0085 and 0123).
    status: Mapped[str] = mapped_column(String(1), default="F")
    signed_by: Mapped[str] = mapped_column(Text, default="")
    signed_at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    # Our study, once it has been matched.
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"))
    compared_at: Mapped[datetime | None]
    # Why it is not compared: another-patient | unread-language | addendum-alone.
    code: Mapped[str | None] = mapped_column(String(32))


class ShadowComparison(Base):
    """One draft compared with the signed report of its study; a correction of the report replaces it."""

    __tablename__ = "shadow_comparisons"
    __table_args__ = (Index("ix_shadow_comparisons_at", "drafted_at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey("drafts.id"), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("signed_reports.id"))
    site: Mapped[str] = mapped_column(String(64), default="")
    device: Mapped[str] = mapped_column(Text, default="")
    model_digest: Mapped[str] = mapped_column(String(64))
    drafted_at: Mapped[datetime]
    # {concept: [[presence, sides, severity] of the draft, the same for the report]} (`agent.shadow.readings`)
    pairs: Mapped[dict[str, Any]]
    # Number of concepts in which they disagree.
    disagreements: Mapped[int] = mapped_column(Integer, index=True)
    compared_at: Mapped[datetime]

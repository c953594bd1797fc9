"""The tables for what other systems report: HL7 messages, orders and the searches for them, and patients."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId


class Hl7Message(Base):
    """One message as it arrived, and its answer; a repetition gets the same answer.

    `content` is empty once `retention.hl7_keep_days` is over.
    """

    __tablename__ = "hl7_messages"
    __table_args__ = (Index("ix_hl7_messages_received", "received_at", "outcome"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # SHA-256 of sending application, sending facility and MSH-10; of the content if there is no MSH-10.
    key: Mapped[str] = mapped_column(String(64), unique=True)
    # SHA-256 of the content without its header: another message under the same key is refused.
    sha256: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    # applied | ignored | refused
    outcome: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64), default="")
    content: Mapped[bytes] = mapped_column(LargeBinary)
    # MSA-1 of the application's answer, and its text; never a value from the message.
    answer: Mapped[str] = mapped_column(String(2))
    words: Mapped[str] = mapped_column(Text, default="")
    received_at: Mapped[datetime]


class Order(Base):
    """One imaging order, in the state after its last message."""

    __tablename__ = "orders"
    __table_args__ = (
        Index("ix_orders_accession", "accession_number"),
        Index("ix_orders_study", "study_instance_uid"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # What identifies the order: the placer's number, else the filler's, else the accession number.
    key: Mapped[str] = mapped_column(String(64), unique=True)
    placer_number: Mapped[str] = mapped_column(Text, default="")
    filler_number: Mapped[str] = mapped_column(Text, default="")
    accession_number: Mapped[str] = mapped_column(Text, default="")
    study_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    procedure_id: Mapped[str] = mapped_column(Text, default="")
    procedure: Mapped[str] = mapped_column(Text, default="")
    clinical_question: Mapped[str] = mapped_column(Text, default="")
    # As for jobs: 0 STAT, 20 high, 50 routine.
    priority: Mapped[int] = mapped_column(Integer, default=50)
    patient_id: Mapped[str] = mapped_column(Text, default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, default="")
    canceled: Mapped[bool] = mapped_column(Boolean, default=False)
    # None if the order came from a modality worklist.
    message_id: Mapped[int | None] = mapped_column(ForeignKey("hl7_messages.id"))
    updated_at: Mapped[datetime]


class OrderSearch(Base):
    """The search for a study's order in the modality worklist (`agent.ris.order_search`)."""

    __tablename__ = "order_searches"
    __table_args__ = (Index("ix_order_searches_open", "ended_at", "next_at"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    attempts: Mapped[int] = mapped_column(Integer)
    begun_at: Mapped[datetime]
    # When it is due again, even if the querying process died.
    next_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # order-found | order-none | order-mismatch | order-known | why it failed.
    code: Mapped[str | None] = mapped_column(String(64))


class KnownPatient(Base):
    """A patient in the state after the last update; `merged_into` is the record that this one was merged
    into.
    """

    __tablename__ = "patients"
    __table_args__ = (UniqueConstraint("patient_id", "issuer_of_patient_id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    patient_id: Mapped[str] = mapped_column(Text)
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, default="")
    patient_name: Mapped[str] = mapped_column(Text, default="")
    patient_birth_date: Mapped[str] = mapped_column(Text, default="")
    patient_sex: Mapped[str] = mapped_column(String(16), default="")
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("patients.id"))
    message_id: Mapped[int] = mapped_column(ForeignKey("hl7_messages.id"))
    updated_at: Mapped[datetime]

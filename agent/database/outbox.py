"""The tables of the outbox: documents and messages, their deliveries, and requests for commitment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId


class Document(Base):
    """The bytes of one document or message, the same in every attempt."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("draft_id", "role", "variant"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey("drafts.id"))
    # See `agent.foundation.document_roles`.
    role: Mapped[str] = mapped_column(String(16))
    # For a Structured Report the SOP class that a destination accepts (comprehensive3d | comprehensive |
    # enhanced); for a message its kind, and the destination that it is for (`agent.reports.messages`).
    variant: Mapped[str] = mapped_column(String(24))
    # The status in a message: unverified | final | corrected | withdrawn. Null for DICOM documents.
    status: Mapped[str | None] = mapped_column(String(16))
    # For a message: empty, and a UID from which its identifier is derived.
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Delivery(Base):
    """The delivery of one document to one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("document_id", "destination"),
        # One destination's queue at a time: an unreachable PACS with a long queue does not slow the others.
        Index("ix_deliveries_claim", "destination", "state", "priority", "run_after", "id"),
        Index("ix_deliveries_lease", "state", "lease_until"),
        Index("ix_deliveries_job", "job_id"),
        # Stored documents that await commitment, among millions that do not (null).
        Index("ix_deliveries_commit", "destination", "commit_at"),
        # Documents stored with a warning, among millions without one (null).
        Index("ix_deliveries_warning", "destination", "warning"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    destination: Mapped[str] = mapped_column(String(64))
    # PENDING -> SENDING -> STORED -> COMMITTED, aside UNCOMMITTED, DEAD, CANCELED (`agent.database.states`).
    state: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(Integer, default=50)
    run_after: Mapped[datetime]
    # After this time a failed attempt is the last one; a revival sets a new time.
    give_up_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    code: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    stored_at: Mapped[datetime | None]
    # The warning status that the destination stored it with ("0xB007, ..."); null for plain success.
    warning: Mapped[str | None] = mapped_column(String(128))
    # When the next step towards commitment is due; null if none is wanted or none is left.
    commit_at: Mapped[datetime | None]
    # The transaction (`commitments`) that the latest request for commitment belongs to.
    commitment_uid: Mapped[str | None] = mapped_column(String(64))
    commit_attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    committed_at: Mapped[datetime | None]
    # How often the destination has lost the document after storing it.
    losses: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class Commitment(Base):
    """One request for storage commitment; written before it is sent, so that its report is always
    recognised.
    """

    __tablename__ = "commitments"

    transaction_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    destination: Mapped[str] = mapped_column(String(64))
    requested_at: Mapped[datetime]
    # The first report; a repeated one changes nothing.
    reported_at: Mapped[datetime | None]

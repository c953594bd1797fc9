"""The tables of the Unified Procedure Step service: workitems, their subscribers, and the events to send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, CodePoints, RowId


class Workitem(Base):
    """One Unified Procedure Step: for the draft of a job, or requested by another system.

    A draft's state follows its job (`agent.ris.ups.projection`). When a job is drafted again after its
    workitem has ended, it gets a new workitem, the next generation: a final one never changes.
    """

    __tablename__ = "workitems"
    __table_args__ = (
        UniqueConstraint("job_id", "generation"),
        Index("ix_workitems_state", "state", "urgency", "id"),
        Index("ix_workitems_urgency", "urgency", "id"),
        Index("ix_workitems_final", "final_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    # Null for a workitem that another system has created.
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    generation: Mapped[int] = mapped_column(Integer, default=1)
    # Procedure Step State: SCHEDULED | IN PROGRESS | COMPLETED | CANCELED.
    state: Mapped[str] = mapped_column(String(16))
    # The performer's; then who holds the claim, and when the workitem was last changed.
    transaction_uid: Mapped[str | None] = mapped_column(String(64))
    performer: Mapped[str] = mapped_column(String(128), default="")
    touched_at: Mapped[datetime]
    # 0 HIGH, 50 MEDIUM, 100 LOW.
    urgency: Mapped[int] = mapped_column(Integer, default=50)
    # All attributes except the Transaction UID, as DICOM JSON (PS3.18 annex F).
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    final_at: Mapped[datetime | None]


class WorkitemValue(Base):
    """One value of a workitem's attributes, for searching (`agent.ris.ups.index`)."""

    __tablename__ = "workitem_values"
    __table_args__ = (
        Index("ix_workitem_values_value", "path", "value", "workitem_id"),
        {"sqlite_with_rowid": False},
    )

    workitem_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("workitems.id", ondelete="CASCADE"), primary_key=True
    )
    # The number of the attribute's path.
    path: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    # In its comparable form; sorted by code points, as ranges and prefixes require.
    value: Mapped[str] = mapped_column(CodePoints, primary_key=True)


class Subscription(Base):
    """An AE title that watches one workitem, or with a well-known UID all of them."""

    __tablename__ = "ups_subscriptions"
    __table_args__ = (UniqueConstraint("ae_title", "uid"), Index("ix_ups_subscriptions_uid", "uid"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16))
    uid: Mapped[str] = mapped_column(String(64))
    deletion_lock: Mapped[bool] = mapped_column(Boolean, default=False)
    # False: a subscriber with a global subscription does not want this workitem.
    wanted: Mapped[bool] = mapped_column(Boolean, default=True)
    # The keys of a filtered global subscription, as DICOM JSON.
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # A suspended global subscription continues for workitems up to this row, and takes no new ones.
    last_workitem_id: Mapped[int | None] = mapped_column(RowId)
    created_at: Mapped[datetime]


class UpsEvent(Base):
    """An event of a workitem, and the AE titles to be notified of it."""

    __tablename__ = "ups_events"
    __table_args__ = (Index("ix_ups_events_at", "at"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    uid: Mapped[str] = mapped_column(String(64))
    event_type: Mapped[int] = mapped_column(Integer)
    # The Event Information, as DICOM JSON.
    content: Mapped[dict[str, Any]]
    receivers: Mapped[list[str]]


class UpsReport(Base):
    """One event to be sent to one subscriber by N-EVENT-REPORT; removed once it is sent or given up."""

    __tablename__ = "ups_reports"
    __table_args__ = (Index("ix_ups_reports_due", "run_after"),)

    event_id: Mapped[int] = mapped_column(ForeignKey("ups_events.id", ondelete="CASCADE"), primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16), primary_key=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    run_after: Mapped[datetime]


class UpsClaim(Base):
    """A workitem of another system's worklist that we perform, and the Transaction UID of our claim.

    The row is written before the claim is requested, so that a restarted performer continues its own claim.
    """

    __tablename__ = "ups_claims"
    __table_args__ = (UniqueConstraint("manager", "uid"), Index("ix_ups_claims_open", "ended_at"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    manager: Mapped[str] = mapped_column(String(64))
    uid: Mapped[str] = mapped_column(String(64))
    transaction_uid: Mapped[str] = mapped_column(String(64))
    # claiming | claimed | reporting | done | lost
    state: Mapped[str] = mapped_column(String(16))
    study_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    # The last progress (%) that was reported to the manager.
    progress: Mapped[int] = mapped_column(Integer, default=0)
    code: Mapped[str | None] = mapped_column(String(64))
    # The workitem as it was claimed, as DICOM JSON.
    content: Mapped[dict[str, Any]]
    claimed_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

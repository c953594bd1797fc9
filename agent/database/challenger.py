"""The tables for a second model alongside the main one, for switches between them, and for calibrations.

A challenger's drafts are stored here and not in `drafts`, so that no code that delivers, lists or signs
drafts can ever see one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId


class ChallengerDraft(Base):
    """A study that the challenger drafts too: its place in the challenger's queue, and its draft."""

    __tablename__ = "challenger_drafts"
    __table_args__ = (
        UniqueConstraint("study_id", "revision", "model_digest"),
        Index("ix_challenger_drafts_claim", "model_digest", "state", "id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    # The job of the main model's draft: this draft uses the same images and earlier studies.
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    revision: Mapped[int] = mapped_column(Integer)
    model_digest: Mapped[str] = mapped_column(String(64))
    model_name: Mapped[str] = mapped_column(Text, default="")
    # queued | running | drafted | failed
    state: Mapped[str] = mapped_column(String(8))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    # Why it was not drafted: the code of the error.
    code: Mapped[str | None] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text, default="")
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    drafted_at: Mapped[datetime | None]


class ModelSwitch(Base):
    """One switch of the drafting model: who, when, why, from which to which. Rows are only added."""

    __tablename__ = "model_switches"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    # The configured checkpoint that drafts from then on: main | challenger.
    place: Mapped[str] = mapped_column(String(16))
    from_digest: Mapped[str] = mapped_column(String(64))
    to_digest: Mapped[str] = mapped_column(String(64))
    # Number of studies in the paired comparison that it was based on; null for a switch back.
    studies: Mapped[int | None] = mapped_column(Integer)


class StoredCalibration(Base):
    """A fitted map from scores to probabilities (`agent.shadow.calibration`), and its reliability on
    held-out findings.
    """

    __tablename__ = "calibrations"
    __table_args__ = (Index("ix_calibrations_model", "model_digest", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # sha256 of the canonical JSON of `fit`.
    digest: Mapped[str] = mapped_column(String(64))
    model_digest: Mapped[str] = mapped_column(String(64))
    # {slope, intercepts, other, fitted}
    fit: Mapped[dict[str, Any]]
    # {error, count, bins: [[count, stated, signed]]} of the findings that it was not fitted on
    reliability: Mapped[dict[str, Any]]
    # Whether the model's drafts get their probabilities from it.
    in_use: Mapped[bool] = mapped_column(Boolean)
    actor: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime]


class ChallengerComparison(Base):
    """A challenger's draft compared with the signed report of its study; a correction of the report
    replaces it.
    """

    __tablename__ = "challenger_comparisons"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    challenger_id: Mapped[int] = mapped_column(ForeignKey("challenger_drafts.id"), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    model_digest: Mapped[str] = mapped_column(String(64))
    site: Mapped[str] = mapped_column(String(64), default="")
    device: Mapped[str] = mapped_column(Text, default="")
    drafted_at: Mapped[datetime]
    # As in `shadow_comparisons`.
    pairs: Mapped[dict[str, Any]]

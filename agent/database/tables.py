"""The tables: what the service knows, and the only place where it keeps it.

Columns that hold a DICOM attribute are its keyword in snake case. Times are aware and in UTC. The
patient's attributes stand in `studies`, in `listings` as keys to sort and search by, and in `workitems`;
nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId, UtcDateTime
from agent.database.outbox import Commitment, Delivery, Document
from agent.database.people import AuditCursor, AuditEvent, ServiceKey, User, Verdict, WebSession
from agent.database.signed import ShadowComparison, SignedReport
from agent.database.workitems import Subscription, UpsClaim, UpsEvent, UpsReport, Workitem

__all__ = [
    "AuditCursor",
    "AuditEvent",
    "Base",
    "Commitment",
    "Delivery",
    "Document",
    "Draft",
    "Instance",
    "Job",
    "JobEvent",
    "Listing",
    "ListingTag",
    "PriorLink",
    "PriorSearch",
    "Quarantined",
    "RowId",
    "ServiceKey",
    "ShadowComparison",
    "SignedReport",
    "Study",
    "Subscription",
    "UpsClaim",
    "UpsEvent",
    "UpsReport",
    "User",
    "UtcDateTime",
    "Verdict",
    "WebSession",
    "Worker",
    "Workitem",
]


class Study(Base):
    """One Study Instance UID: who, when, and whether all of it has arrived."""

    __tablename__ = "studies"
    __table_args__ = (Index("ix_studies_patient", "patient_id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[str] = mapped_column(Text, default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, default="")
    patient_name: Mapped[str] = mapped_column(Text, default="")
    patient_birth_date: Mapped[str] = mapped_column(Text, default="")
    accession_number: Mapped[str] = mapped_column(Text, default="")
    study_date: Mapped[str] = mapped_column(Text, default="")
    study_time: Mapped[str] = mapped_column(Text, default="")
    study_description: Mapped[str] = mapped_column(Text, default="")
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="")
    # The settings' name for the sender's site; empty where it belongs to none (`sites`).
    site: Mapped[str] = mapped_column(String(64), default="", server_default="")
    # The present revision: 1 for the first draft; a late or changed image makes the next.
    revision: Mapped[int] = mapped_column(Integer, default=1)
    # Set when images of one study name different patients, or one UID came with two contents.
    conflict: Mapped[str | None] = mapped_column(String(64))
    # The content (sha256) whose patient is the study's by a person's decision, where images contradict each
    # other; it lapses when that image comes again with another content.
    patient_content: Mapped[str | None] = mapped_column(String(64))
    # Known only as an earlier study of some patient (`agent.priors`): no job, no draft, no line anywhere.
    prior: Mapped[bool] = mapped_column(Boolean, default=False)
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]


class Instance(Base):
    """One received SOP Instance, by the sha256 of the bytes that were received."""

    __tablename__ = "instances"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "sha256"),
        Index("ix_instances_study", "study_id"),
        Index("ix_instances_sha256", "sha256"),
        # What is still here (null), study by study: the purge walks it.
        Index("ix_instances_purged", "purged_at", "study_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    modality: Mapped[str] = mapped_column(Text, default="")
    body_part_examined: Mapped[str] = mapped_column(Text, default="")
    view_position: Mapped[str] = mapped_column(Text, default="")
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    # The study's revision that this instance first belongs to.
    revision: Mapped[int] = mapped_column(Integer, default=1)
    # Fetched to compare with; never drafted, whatever else comes of its study.
    prior: Mapped[bool] = mapped_column(Boolean, default=False)
    # The eligibility rule that skipped it for the words of its attributes, what was read in them, and those
    # words; null and empty where it was not skipped for that.
    skipped_by: Mapped[str | None] = mapped_column(String(64))
    skipped_region: Mapped[str] = mapped_column(String(32), default="", server_default="")
    skipped_words: Mapped[str] = mapped_column(String(64), default="", server_default="")
    received_at: Mapped[datetime]
    purged_at: Mapped[datetime | None]


class Quarantined(Base):
    """Received bytes that are not a usable instance; kept, counted and shown, never drafted."""

    __tablename__ = "quarantine"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    code: Mapped[str] = mapped_column(String(64))
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[datetime] = mapped_column(index=True)
    purged_at: Mapped[datetime | None]


class Job(Base):
    """One revision of one study, from its first image to its delivery (`agent.database.states`)."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_claim", "state", "priority", "run_after", "id"),
        Index("ix_jobs_due", "state", "due_at"),
        Index("ix_jobs_lease", "state", "lease_until"),
        Index("ix_jobs_study", "study_id"),
        Index("ix_jobs_updated", "updated_at"),
        # The newest of one state: without it `status` walks over every job that was ever skipped.
        Index("ix_jobs_state_updated", "state", "updated_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), default="draft")
    # kind|study|revision|model digest ('-' for "whatever model the worker holds"); see agent.queue.jobs.
    idempotency_key: Mapped[str] = mapped_column(String(200), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    revision: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    # Smaller runs first: 0 STAT, 50 routine.
    priority: Mapped[int] = mapped_column(Integer, default=50)
    due_at: Mapped[datetime | None]
    force_at: Mapped[datetime | None]
    # True when force_at passed before the study had gone quiet.
    incomplete: Mapped[bool] = mapped_column(Boolean, default=False)
    run_after: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    # Why the job stands where it stands: an error's code, or the name of the eligibility rule.
    code: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class JobEvent(Base):
    """Every transition of a job, in order: the history that `study show` prints."""

    __tablename__ = "job_events"
    # The second one answers by itself how many jobs went how far in a day.
    __table_args__ = (Index("ix_job_events_job", "job_id"), Index("ix_job_events_at", "at", "to_state"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    at: Mapped[datetime]
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(128), default="")


class PriorSearch(Base):
    """The search for earlier studies that a job waits for, at most until `deadline` (`agent.priors`)."""

    __tablename__ = "prior_searches"
    __table_args__ = (Index("ix_prior_searches_open", "ended_at", "deadline"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    deadline: Mapped[datetime]
    # Who searches; nobody takes it over, because the job does not wait longer than the deadline anyway.
    owner: Mapped[str | None] = mapped_column(String(128))
    # priors-found | priors-none | priors-late | why it failed.
    code: Mapped[str | None] = mapped_column(String(64))
    ended_at: Mapped[datetime | None]


class PriorLink(Base):
    """One earlier study that a job's study is compared with, and what its report says."""

    __tablename__ = "priors"
    __table_args__ = (UniqueConstraint("job_id", "prior_id"), Index("ix_priors_study", "study_id", "job_id"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    prior_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    # The text of its report, shortened; empty where there is none.
    report: Mapped[str] = mapped_column(Text, default="")
    # ours (verified here) | archive | empty
    report_from: Mapped[str] = mapped_column(String(16), default="")


class Draft(Base):
    """One draft: the text, what was read in it, and the exact bytes of both documents."""

    __tablename__ = "drafts"
    __table_args__ = (
        UniqueConstraint("study_id", "revision", "model_digest"),
        # `status` reads how long drafts took from here alone, never from the rows with their long texts.
        Index("ix_drafts_latency", "outcome", "created_at", "waited_s", "delivered_s"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    revision: Mapped[int] = mapped_column(Integer)
    model_digest: Mapped[str] = mapped_column(String(64))
    model_name: Mapped[str] = mapped_column(Text)
    demonstration: Mapped[bool] = mapped_column(Boolean)
    # Made in shadow mode: kept and compared, delivered nowhere, in no list (`agent.shadow`).
    shadow: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    # drafted | not_attempted | failed | verified | rejected | withdrawn: what the documents say.
    outcome: Mapped[str] = mapped_column(String(16), default="drafted")
    text: Mapped[str] = mapped_column(Text)
    # {findings: [...], flags: [...], sentences: [...], urgency: {...}, statistics: {...}}
    content: Mapped[dict[str, Any]]
    urgency: Mapped[int] = mapped_column(Integer, default=50)
    seconds: Mapped[float] = mapped_column(Float, default=0.0)
    # Seconds from the study's last image to this draft; unknown when a later image had come meanwhile.
    waited_s: Mapped[float | None] = mapped_column(Float)
    # Seconds from the same image until every destination had stored every document.
    delivered_s: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(index=True)
    # due | done: its documents name a patient who is no longer the study's (`agent.queue.withdrawal`).
    withdrawal: Mapped[str | None] = mapped_column(String(8), index=True)


class Listing(Base):
    """A study's line in the worklist: its newest draft, and keys to sort and search by."""

    __tablename__ = "listings"
    __table_args__ = (
        # The worklist's orders; the page walks an index and never sorts.
        Index("ix_listings_urgency", "shelf", "urgency", "drafted_at", "study_id"),
        Index("ix_listings_arrival", "shelf", "arrived_at", "study_id"),
        Index("ix_listings_patient", "shelf", "patient", "study_id"),
        Index("ix_listings_taken", "shelf", "taken", "study_id"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey("drafts.id", ondelete="CASCADE"))
    # open | verified | rejected | none: what has become of the newest draft.
    shelf: Mapped[str] = mapped_column(String(16))
    urgency: Mapped[int] = mapped_column(Integer)
    drafted_at: Mapped[datetime]
    arrived_at: Mapped[datetime]
    # Made of the patient's attributes in `studies`: the name in lower case; date and time of the study;
    # all that is searched, in lower case.
    patient: Mapped[str] = mapped_column(Text)
    taken: Mapped[str] = mapped_column(Text)
    search: Mapped[str] = mapped_column(Text)


class ListingTag(Base):
    """What a study is found by in the worklist: a positive finding's concept, or `flag:` and a code."""

    __tablename__ = "listing_tags"

    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_id: Mapped[int] = mapped_column(
        ForeignKey("listings.study_id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Worker(Base):
    """A process of the service and its last sign of life; `status` reads who is there."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    # listener | worker | deliverer | housekeeping | web
    role: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Integer)
    # What it would say of itself: model, device, address, counters.
    about: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)

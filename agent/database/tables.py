"""The tables: everything the service knows, stored nowhere else.

A column that holds a DICOM attribute is named by its keyword in snake case. Times are aware and in UTC. The
patient's attributes are in `studies`, in `listings` as sort and search keys, and in `workitems`; nowhere
else.
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

from agent.database.backfill import BackfillControl, BackfillSlice, BackfillStudy
from agent.database.base import Base, RowId, UtcDateTime
from agent.database.challenger import (
    ChallengerComparison,
    ChallengerDraft,
    ModelSwitch,
    StoredCalibration,
)
from agent.database.orders import Hl7Message, KnownPatient, Order, OrderSearch
from agent.database.outbox import Commitment, Delivery, Document
from agent.database.people import (
    AuditCursor,
    AuditEvent,
    ReadingClaim,
    ServiceKey,
    User,
    Verdict,
    WebSession,
)
from agent.database.signed import ShadowComparison, SignedReport
from agent.database.watermarks import Watermark
from agent.database.workitems import Subscription, UpsClaim, UpsEvent, UpsReport, Workitem, WorkitemValue

__all__ = [
    "AuditCursor",
    "AuditEvent",
    "BackfillControl",
    "BackfillSlice",
    "BackfillStudy",
    "Base",
    "ChallengerComparison",
    "ChallengerDraft",
    "Commitment",
    "Delivery",
    "Document",
    "Draft",
    "Hl7Message",
    "Instance",
    "Job",
    "JobEvent",
    "KnownPatient",
    "LaneTurn",
    "Listing",
    "ListingTag",
    "ModelSwitch",
    "Order",
    "OrderSearch",
    "PriorLink",
    "PriorSearch",
    "Quarantined",
    "ReadingClaim",
    "RowId",
    "ServiceKey",
    "ShadowComparison",
    "SignedReport",
    "StoredCalibration",
    "Study",
    "Subscription",
    "UpsClaim",
    "UpsEvent",
    "UpsReport",
    "User",
    "UtcDateTime",
    "Verdict",
    "Watermark",
    "WebSession",
    "Worker",
    "Workitem",
    "WorkitemValue",
]


class Study(Base):
    """One Study Instance UID: patient, times, and whether it has arrived completely."""

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
    # The sender's site by its name in the settings (`sites`); empty if it has none.
    site: Mapped[str] = mapped_column(String(64), default="", server_default="")
    # The current revision: 1 for the first draft; a late or changed image creates the next.
    revision: Mapped[int] = mapped_column(Integer, default=1)
    # Set if images of one study name different patients, or one UID arrived with two contents.
    conflict: Mapped[str | None] = mapped_column(String(64))
    # If images contradict each other: the content (sha256) whose patient a person chose. The decision #
    # lapses when that image arrives with another content.
    patient_content: Mapped[str | None] = mapped_column(String(64))
    # Known only as an earlier study (`agent.retrieve.priors`): it has no job or draft and is not listed.
    prior: Mapped[bool] = mapped_column(Boolean, default=False)
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]


class Instance(Base):
    """One received SOP Instance, identified by the sha256 of its bytes."""

    __tablename__ = "instances"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "sha256"),
        Index("ix_instances_study", "study_id"),
        Index("ix_instances_sha256", "sha256"),
        # Files not yet purged (null), by study, for the purge.
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
    # The first revision of the study that this instance belongs to.
    revision: Mapped[int] = mapped_column(Integer, default=1)
    # Retrieved for comparison; never drafted, even if other images of its study are.
    prior: Mapped[bool] = mapped_column(Boolean, default=False)
    # If it was skipped because of the wording of its attributes: the eligibility rule, the region found, and
    # the # words; otherwise null and empty. `rejected`: a rejection note has taken it back.
    skipped_by: Mapped[str | None] = mapped_column(String(64))
    skipped_region: Mapped[str] = mapped_column(String(32), default="", server_default="")
    skipped_words: Mapped[str] = mapped_column(String(64), default="", server_default="")
    received_at: Mapped[datetime]
    purged_at: Mapped[datetime | None]


class Quarantined(Base):
    """Received bytes that are not a usable instance: kept, counted and shown, never drafted."""

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
        # The order of claims; sites take turns within a lane (`agent.queue.turns`).
        Index("ix_jobs_lane", "state", "lane", "site", "priority", "run_after", "id"),
        Index("ix_jobs_due", "state", "due_at"),
        Index("ix_jobs_lease", "state", "lease_until"),
        Index("ix_jobs_study", "study_id"),
        Index("ix_jobs_updated", "updated_at"),
        # The newest jobs of one state; without it `status` would scan every job that was ever skipped.
        Index("ix_jobs_state_updated", "state", "updated_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), default="draft")
    # kind|study|revision|model digest ('-' for "whatever model the worker holds"); see agent.queue.jobs.
    idempotency_key: Mapped[str] = mapped_column(String(200), unique=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    revision: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    # Smaller runs first within its lane: 0 STAT, 50 routine.
    priority: Mapped[int] = mapped_column(Integer, default=50)
    # stat | routine | shadow | backfill (`agent.database.states.Lane`), kept in step with the priority.
    lane: Mapped[str] = mapped_column(String(16), default="routine", server_default="routine")
    # The study's site when the job was made.
    site: Mapped[str] = mapped_column(String(64), default="", server_default="")
    due_at: Mapped[datetime | None]
    force_at: Mapped[datetime | None]
    # True when force_at passed before the study was quiet.
    incomplete: Mapped[bool] = mapped_column(Boolean, default=False)
    run_after: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    # The reason for the state: an error's code, or the name of the eligibility rule.
    code: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class LaneTurn(Base):
    """The time at which a site was last served in a lane, in the lane's virtual time
    (`agent.queue.turns`).
    """

    __tablename__ = "lane_turns"

    lane: Mapped[str] = mapped_column(String(16), primary_key=True)
    site: Mapped[str] = mapped_column(String(64), primary_key=True)
    served: Mapped[float] = mapped_column(Float)


class JobEvent(Base):
    """Every transition of a job, in order: the history that `study show` prints."""

    __tablename__ = "job_events"
    # The second index alone answers how many jobs reached which state in a day.
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
    """The search for earlier studies that a job waits for, until `deadline` (`agent.retrieve.priors`)."""

    __tablename__ = "prior_searches"
    __table_args__ = (Index("ix_prior_searches_open", "ended_at", "deadline"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    deadline: Mapped[datetime]
    # The process that searches; no other takes over, because the job waits no longer than the deadline.
    owner: Mapped[str | None] = mapped_column(String(128))
    # priors-found | priors-none | priors-late | why it failed.
    code: Mapped[str | None] = mapped_column(String(64))
    ended_at: Mapped[datetime | None]


class PriorLink(Base):
    """One earlier study that a job's study is compared with, and the text of its report."""

    __tablename__ = "priors"
    __table_args__ = (UniqueConstraint("job_id", "prior_id"), Index("ix_priors_study", "study_id", "job_id"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    prior_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    # The text of its report, shortened; empty if there is none.
    report: Mapped[str] = mapped_column(Text, default="")
    # ours (verified here) | archive | empty
    report_from: Mapped[str] = mapped_column(String(16), default="")


class Draft(Base):
    """One draft: its text and findings; its documents are rows of `documents`."""

    __tablename__ = "drafts"
    __table_args__ = (
        UniqueConstraint("study_id", "revision", "model_digest"),
        # `status` reads durations from this index alone, never from the rows with their long texts.
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
    # drafted | not_attempted | failed | verified | rejected | withdrawn: what the documents state.
    outcome: Mapped[str] = mapped_column(String(16), default="drafted")
    text: Mapped[str] = mapped_column(Text)
    # {findings: [...], flags: [...], sentences: [...], urgency: {...}, statistics: {...}}
    content: Mapped[dict[str, Any]]
    urgency: Mapped[int] = mapped_column(Integer, default=50)
    seconds: Mapped[float] = mapped_column(Float, default=0.0)
    # Seconds from the study's last image to this draft; null if a later image had arrived meanwhile.
    waited_s: Mapped[float | None] = mapped_column(Float)
    # Seconds from that image until every destination had stored every document.
    delivered_s: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(index=True)
    # due | done: its documents name a patient who is no longer the study's (`agent.queue.withdrawal`).
    withdrawal: Mapped[str | None] = mapped_column(String(8), index=True)


class Listing(Base):
    """A study's row in the worklist: its newest draft, and sort and search keys."""

    __tablename__ = "listings"
    __table_args__ = (
        # One index for each sort order of the worklist; a page never sorts.
        Index("ix_listings_urgency", "shelf", "urgency", "drafted_at", "study_id"),
        Index("ix_listings_arrival", "shelf", "arrived_at", "study_id"),
        Index("ix_listings_patient", "shelf", "patient", "study_id"),
        Index("ix_listings_taken", "shelf", "taken", "study_id"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey("drafts.id", ondelete="CASCADE"))
    # open | verified | rejected | none: the review status of the newest draft.
    shelf: Mapped[str] = mapped_column(String(16))
    urgency: Mapped[int] = mapped_column(Integer)
    drafted_at: Mapped[datetime]
    arrived_at: Mapped[datetime]
    # Derived from the patient's attributes in `studies`: the name in lower case; study date and time; all #
    # searchable text in lower case.
    patient: Mapped[str] = mapped_column(Text)
    taken: Mapped[str] = mapped_column(Text)
    search: Mapped[str] = mapped_column(Text)


class ListingTag(Base):
    """A search term for a study in the worklist: a positive finding's concept, or `flag:` and a code."""

    __tablename__ = "listing_tags"

    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_id: Mapped[int] = mapped_column(
        ForeignKey("listings.study_id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Worker(Base):
    """A process of the service and its last heartbeat, which `status` reads."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    # listener | worker | deliverer | housekeeping | web
    role: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Integer)
    # What the process reports about itself: model, device, address, counters.
    about: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)

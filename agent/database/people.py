"""The tables of people and their actions: who may sign in, what they decided, and the audit record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from agent.database.base import Base, RowId


class User(Base):
    """A person who may sign in to the worklist."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    # DICOM person name (family^given), as it appears in a verified report.
    person_name: Mapped[str] = mapped_column(String(128))
    # The person's code in the hospital, and its coding scheme, as the observer of a verified report.
    identification: Mapped[str] = mapped_column(String(64), default="", server_default="")
    identification_scheme: Mapped[str] = mapped_column(String(16), default="", server_default="")
    # reader | radiologist | admin
    role: Mapped[str] = mapped_column(String(16))
    # argon2; None for a person who may not sign in here.
    password_hash: Mapped[str | None] = mapped_column(Text)
    # The OpenID provider's issuer and subject for this person; None for a local user.
    subject: Mapped[str | None] = mapped_column(String(512), unique=True, index=True)
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class WebSession(Base):
    """A browser that is signed in; the row holds the digest of the token in its cookie."""

    __tablename__ = "web_sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ReadingClaim(Base):
    """The person reading a study (`agent.web.claims`); the claim ends with its lease."""

    __tablename__ = "reading_claims"
    __table_args__ = (
        Index("ix_reading_claims_holder", "holder"),
        Index("ix_reading_claims_lease", "lease_until"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    # "user:" and the user's number; without sign-in "browser:" and a digest of the browser's cookie.
    holder: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(128))
    claimed_at: Mapped[datetime]
    lease_until: Mapped[datetime]


class ServiceKey(Base):
    """A secret that all processes of this service share (`agent.database.service_keys`)."""

    __tablename__ = "service_keys"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class Verdict(Base):
    """A radiologist's decision on a draft. Rows are added, never changed."""

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_study", "study_id"), Index("ix_verdicts_at", "at"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    # The software's draft that was reviewed, and the draft row that holds the result.
    draft_id: Mapped[int] = mapped_column(ForeignKey("drafts.id"), index=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("drafts.id"), unique=True)
    # accepted | changed | rejected
    kind: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    observer_name: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    # Words inserted, deleted or replaced, and the number of words in the draft.
    edited_words: Mapped[int] = mapped_column(Integer, default=0)
    draft_words: Mapped[int] = mapped_column(Integer, default=0)
    # {concept: [presence in the draft, presence in the report]}; "" is not mentioned.
    agreement: Mapped[dict[str, Any]]


class AuditEvent(Base):
    """Who did what, and with whose images (`agent.operations.audit`). Rows are added, never changed."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_at", "at"), Index("ix_audit_events_study", "study_id"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    # One of `agent.database.audit.record.Action`.
    action: Mapped[str] = mapped_column(String(32))
    succeeded: Mapped[bool] = mapped_column(Boolean, default=True)
    actor: Mapped[str] = mapped_column(String(128))
    address: Mapped[str] = mapped_column(String(64), default="")
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"))
    details: Mapped[dict[str, Any]]


class AuditCursor(Base):
    """The position of one audit destination in the audit events (`agent.operations.audit.export`)."""

    __tablename__ = "audit_cursors"

    # file | syslog
    sink: Mapped[str] = mapped_column(String(16), primary_key=True)
    # The last exported event, and the earlier numbers still missing then: {number: since}.
    last_id: Mapped[int] = mapped_column(BigInteger)
    gaps: Mapped[dict[str, Any]]
    lease_token: Mapped[str | None] = mapped_column(String(36))
    lease_until: Mapped[datetime | None]
    # Why the last batch was not accepted; null if it was.
    code: Mapped[str | None] = mapped_column(String(64))
    updated_at: Mapped[datetime]

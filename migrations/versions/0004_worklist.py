"""The worklist: users, their sessions, their verdicts, the audit of views, and the list's indexes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables and the indexes."""
    op.create_index("ix_studies_patient", "studies", ["patient_id"])
    op.create_index("ix_drafts_worklist", "drafts", ["outcome", "urgency", "created_at", "id"])
    op.create_index("ix_drafts_newest", "drafts", ["outcome", "created_at", "id"])
    op.create_table(
        "users",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("person_name", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        sa.Column("user_id", ROW_ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index("ix_web_sessions_user_id", "web_sessions", ["user_id"])
    op.create_index("ix_web_sessions_expires_at", "web_sessions", ["expires_at"])
    op.create_table(
        "verdicts",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("draft_id", ROW_ID, sa.ForeignKey("drafts.id"), nullable=False),
        sa.Column("result_id", ROW_ID, sa.ForeignKey("drafts.id"), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("user_id", ROW_ID, sa.ForeignKey("users.id"), nullable=True),
        sa.Column("observer_name", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("edited_words", sa.Integer(), nullable=False),
        sa.Column("draft_words", sa.Integer(), nullable=False),
        sa.Column("agreement", sa.JSON(), nullable=False),
    )
    op.create_index("ix_verdicts_study", "verdicts", ["study_id"])
    op.create_index("ix_verdicts_at", "verdicts", ["at"])
    op.create_index("ix_verdicts_draft_id", "verdicts", ["draft_id"])
    op.create_table(
        "audit_events",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_index("ix_audit_events_study", "audit_events", ["study_id"])


def downgrade() -> None:
    """Drop them; the verified documents stay in `documents` and in the PACS."""
    for table in ("audit_events", "verdicts", "web_sessions", "users"):
        op.drop_table(table)
    op.drop_index("ix_drafts_newest", "drafts")
    op.drop_index("ix_drafts_worklist", "drafts")
    op.drop_index("ix_studies_patient", "studies")

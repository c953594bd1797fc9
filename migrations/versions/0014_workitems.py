"""Unified Procedure Steps: workitems, subscriptions, events to report, and our claims elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """The manager enters the workitems of unfinished drafts at its first tick."""
    op.create_table(
        "workitems",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("uid", sa.String(64), nullable=False, unique=True),
        sa.Column("job_id", ROW_ID, sa.ForeignKey("jobs.id"), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=True),
        sa.Column("performer", sa.String(128), nullable=False),
        sa.Column("touched_at", MOMENT, nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("final_at", MOMENT, nullable=True),
        sa.UniqueConstraint("job_id", "generation"),
    )
    op.create_index("ix_workitems_state", "workitems", ["state", "urgency", "id"])
    op.create_index("ix_workitems_study", "workitems", ["study_instance_uid"])
    op.create_index("ix_workitems_patient", "workitems", ["patient_id"])
    op.create_index("ix_workitems_final", "workitems", ["final_at"])
    _create_subscriptions()
    _create_claims()


def _create_subscriptions() -> None:
    op.create_table(
        "ups_subscriptions",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("ae_title", sa.String(16), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("deletion_lock", sa.Boolean(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=True),
        sa.Column("last_workitem_id", ROW_ID, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint("ae_title", "uid"),
    )
    op.create_index("ix_ups_subscriptions_uid", "ups_subscriptions", ["uid"])
    op.create_table(
        "ups_events",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("event_type", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("receivers", sa.JSON(), nullable=False),
    )
    op.create_index("ix_ups_events_at", "ups_events", ["at"])
    op.create_table(
        "ups_reports",
        sa.Column("event_id", ROW_ID, sa.ForeignKey("ups_events.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("ae_title", sa.String(16), primary_key=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("run_after", MOMENT, nullable=False),
    )
    op.create_index("ix_ups_reports_due", "ups_reports", ["run_after"])


def _create_claims() -> None:
    op.create_table(
        "ups_claims",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("job_id", ROW_ID, sa.ForeignKey("jobs.id"), nullable=True),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("claimed_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.UniqueConstraint("manager", "uid"),
    )
    op.create_index("ix_ups_claims_open", "ups_claims", ["ended_at"])


def downgrade() -> None:
    """Drop them; drafts and deliveries are not touched."""
    for table in ("ups_claims", "ups_reports", "ups_events", "ups_subscriptions", "workitems"):
        op.drop_table(table)

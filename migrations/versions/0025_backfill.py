"""Queries of the archive by date, and the studies found by them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """The archive has not been queried yet."""
    op.create_table(
        "backfill_slices",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("since", sa.String(8), nullable=False),
        sa.Column("until", sa.String(8), nullable=False),
        sa.Column("from_time", sa.String(4), nullable=False),
        sa.Column("to_time", sa.String(4), nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("run_after", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=True),
        sa.Column("lease_token", sa.String(36), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
    )
    op.create_index("ix_backfill_slices_state", "backfill_slices", ["state", "run_after", "id"])
    op.create_index("ix_backfill_slices_asked_at", "backfill_slices", ["asked_at"])
    op.create_table(
        "backfill_studies",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), nullable=False, unique=True),
        sa.Column("slice_id", ROW_ID, sa.ForeignKey("backfill_slices.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("run_after", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=True),
        sa.Column("lease_token", sa.String(36), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
    )
    op.create_index("ix_backfill_studies_state", "backfill_studies", ["state", "run_after", "id"])
    op.create_index("ix_backfill_studies_asked_at", "backfill_studies", ["asked_at"])
    op.create_index("ix_backfill_studies_updated_at", "backfill_studies", ["updated_at"])
    op.create_table(
        "backfill_control",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("stopped", sa.Boolean(), nullable=False),
    )


def downgrade() -> None:
    """Drop them; studies that were retrieved stay."""
    op.drop_table("backfill_control")
    op.drop_table("backfill_studies")
    op.drop_table("backfill_slices")

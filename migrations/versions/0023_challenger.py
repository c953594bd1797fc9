"""A challenger's drafts, switches of the model, and calibrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """No challenger has drafted yet, and no model was switched; every comparison is of a main draft."""
    op.create_table(
        "challenger_drafts",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("job_id", ROW_ID, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.String(36), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("drafted_at", MOMENT, nullable=True),
        sa.UniqueConstraint("study_id", "revision", "model_digest"),
    )
    op.create_index("ix_challenger_drafts_claim", "challenger_drafts", ["model_digest", "state", "id"])
    op.create_table(
        "model_switches",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("place", sa.String(16), nullable=False),
        sa.Column("from_digest", sa.String(64), nullable=False),
        sa.Column("to_digest", sa.String(64), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=True),
    )
    op.create_table(
        "calibrations",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("fit", sa.JSON(), nullable=False),
        sa.Column("reliability", sa.JSON(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_index("ix_calibrations_model", "calibrations", ["model_digest", "id"])
    op.create_table(
        "challenger_comparisons",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column(
            "challenger_id", ROW_ID, sa.ForeignKey("challenger_drafts.id"), nullable=False, unique=True
        ),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("drafted_at", MOMENT, nullable=False),
        sa.Column("pairs", sa.JSON(), nullable=False),
    )
    op.create_index("ix_challenger_comparisons_study_id", "challenger_comparisons", ["study_id"])


def downgrade() -> None:
    """Drop them: the model is the configured one again."""
    op.drop_table("challenger_comparisons")
    op.drop_table("calibrations")
    op.drop_table("model_switches")
    op.drop_table("challenger_drafts")

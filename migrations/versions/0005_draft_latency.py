"""Indexes for `status`: the duration of each draft, and the number of jobs by state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two durations; those of earlier drafts stay unknown."""
    op.add_column("drafts", sa.Column("waited_s", sa.Float(), nullable=True))
    op.add_column("drafts", sa.Column("delivered_s", sa.Float(), nullable=True))
    op.create_index("ix_drafts_latency", "drafts", ["outcome", "created_at", "waited_s", "delivered_s"])
    op.drop_index("ix_job_events_at", "job_events")
    op.create_index("ix_job_events_at", "job_events", ["at", "to_state"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_job_events_at", "job_events")
    op.create_index("ix_job_events_at", "job_events", ["at"])
    op.drop_index("ix_drafts_latency", "drafts")
    op.drop_column("drafts", "delivered_s")
    op.drop_column("drafts", "waited_s")

"""Lanes and sites of jobs, and the turns of sites within a lane."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Existing jobs get their study's site, and the lane for their priority."""
    op.add_column("jobs", sa.Column("lane", sa.String(16), nullable=False, server_default="routine"))
    op.add_column("jobs", sa.Column("site", sa.String(64), nullable=False, server_default=""))
    op.execute("UPDATE jobs SET lane = 'stat' WHERE priority = 0")
    op.execute(
        "UPDATE jobs SET site = (SELECT site FROM studies WHERE studies.id = jobs.study_id) "
        "WHERE study_id IN (SELECT id FROM studies WHERE site <> '')"
    )
    op.drop_index("ix_jobs_claim", "jobs")
    op.create_index("ix_jobs_lane", "jobs", ["state", "lane", "site", "priority", "run_after", "id"])
    op.create_table(
        "lane_turns",
        sa.Column("lane", sa.String(16), primary_key=True),
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("served", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    """Drop them: jobs run in the order of their priority alone."""
    op.drop_table("lane_turns")
    op.drop_index("ix_jobs_lane", "jobs")
    op.create_index("ix_jobs_claim", "jobs", ["state", "priority", "run_after", "id"])
    op.drop_column("jobs", "site")
    op.drop_column("jobs", "lane")

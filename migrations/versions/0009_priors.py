"""Earlier studies of a patient: which studies and images were only retrieved for comparison, and for
which job.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """All existing studies were sent to be drafted; there are no earlier studies yet."""
    for table in ("studies", "instances"):
        op.add_column(table, sa.Column("prior", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "prior_searches",
        sa.Column("job_id", ROW_ID, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("deadline", MOMENT, nullable=False),
        sa.Column("owner", sa.String(128), nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
    )
    op.create_index("ix_prior_searches_open", "prior_searches", ["ended_at", "deadline"])
    op.create_table(
        "priors",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("job_id", ROW_ID, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("prior_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("report_from", sa.String(16), nullable=False),
        sa.UniqueConstraint("job_id", "prior_id"),
    )
    op.create_index("ix_priors_study", "priors", ["study_id", "job_id"])


def downgrade() -> None:
    """Drop them; retrieved images stay in the store, and are then ordinary images without a job."""
    op.drop_table("priors")
    op.drop_table("prior_searches")
    for table in ("instances", "studies"):
        op.drop_column(table, "prior")

"""Deliveries continue with storage commitment; its transactions are stored, so that any process
recognises a report.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Documents already stored do not wait for commitment."""
    op.create_table(
        "commitments",
        sa.Column("transaction_uid", sa.String(64), primary_key=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("reported_at", MOMENT, nullable=True),
    )
    op.add_column("deliveries", sa.Column("commit_at", MOMENT, nullable=True))
    op.add_column("deliveries", sa.Column("commitment_uid", sa.String(64), nullable=True))
    op.add_column(
        "deliveries", sa.Column("commit_attempts", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("deliveries", sa.Column("committed_at", MOMENT, nullable=True))
    op.add_column("deliveries", sa.Column("losses", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_deliveries_commit", "deliveries", ["destination", "commit_at"])


def downgrade() -> None:
    """Documents in the states of commitment become stored again."""
    op.execute("UPDATE deliveries SET state = 'STORED' WHERE state = 'UNCOMMITTED'")
    op.drop_index("ix_deliveries_commit", "deliveries")
    for column in ("losses", "committed_at", "commit_attempts", "commitment_uid", "commit_at"):
        op.drop_column("deliveries", column)
    op.drop_table("commitments")

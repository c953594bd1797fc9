"""Messages among the documents, and the status that each states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Documents written so far are Structured Reports, which have no such status."""
    op.add_column("documents", sa.Column("status", sa.String(16), nullable=True))


def downgrade() -> None:
    """Drop it; messages waiting for a destination stay, and are given up when their time is over."""
    op.drop_column("documents", "status")

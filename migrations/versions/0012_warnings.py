"""Warnings of destinations: the status that a document was stored with, if it was not plain success."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Warnings of documents stored so far were not recorded."""
    op.add_column("deliveries", sa.Column("warning", sa.String(128), nullable=True))
    op.create_index("ix_deliveries_warning", "deliveries", ["destination", "warning"])


def downgrade() -> None:
    """Drop them; the deliveries stay as they are."""
    op.drop_index("ix_deliveries_warning", "deliveries")
    op.drop_column("deliveries", "warning")

"""The index for purging files, and the export position of each audit destination."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Nothing was purged or exported yet."""
    op.create_index("ix_instances_purged", "instances", ["purged_at", "study_id"])
    op.add_column("quarantine", sa.Column("purged_at", MOMENT, nullable=True))
    op.create_table(
        "audit_cursors",
        sa.Column("sink", sa.String(16), primary_key=True),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("lease_token", sa.String(36), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
    )


def downgrade() -> None:
    """Drop them; an exporter of a later upgrade begins with the first event again."""
    op.drop_table("audit_cursors")
    op.drop_column("quarantine", "purged_at")
    op.drop_index("ix_instances_purged", "instances")

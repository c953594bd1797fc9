"""Who is reading which study."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """It begins empty: nobody is reading."""
    op.create_table(
        "reading_claims",
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("claimed_at", MOMENT, nullable=False),
        sa.Column("lease_until", MOMENT, nullable=False),
    )
    op.create_index("ix_reading_claims_holder", "reading_claims", ["holder"])
    op.create_index("ix_reading_claims_lease", "reading_claims", ["lease_until"])


def downgrade() -> None:
    """Drop it: studies that are being read look unclaimed."""
    op.drop_table("reading_claims")

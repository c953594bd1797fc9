"""Keys that all processes share, and the claims of studies being read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Both begin empty: a key is generated when it is first needed."""
    op.create_table(
        "service_keys",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.create_table(
        "claims",
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("user_id", ROW_ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_index("ix_claims_user_id", "claims", ["user_id"])


def downgrade() -> None:
    """Drop them: sessions end, and studies have another name in the logs."""
    op.drop_table("claims")
    op.drop_table("service_keys")

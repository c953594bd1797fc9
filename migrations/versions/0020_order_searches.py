"""Searches for orders in a modality worklist; an order need not come from an HL7 message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """It begins empty: existing studies were drafted without such a search."""
    op.create_table(
        "order_searches",
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("begun_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
    )
    op.create_index("ix_order_searches_open", "order_searches", ["ended_at", "next_at"])
    with op.batch_alter_table("orders") as table:
        table.alter_column("message_id", existing_type=ROW_ID, nullable=True)


def downgrade() -> None:
    """Drop it, and the orders that did not come in a message."""
    op.drop_table("order_searches")
    op.execute("DELETE FROM orders WHERE message_id IS NULL")
    with op.batch_alter_table("orders") as table:
        table.alter_column("message_id", existing_type=ROW_ID, nullable=False)

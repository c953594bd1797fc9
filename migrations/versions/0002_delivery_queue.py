"""Each destination gets its own queue, and each delivery a time at which it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

deliveries = sa.table("deliveries", sa.column("give_up_at", sa.DateTime(timezone=True)))


def upgrade() -> None:
    """Deliveries in progress get a day from now."""
    with op.batch_alter_table("deliveries") as batch:
        batch.add_column(sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=True))
        batch.drop_index("ix_deliveries_claim")
    op.execute(deliveries.update().values(give_up_at=datetime.now(UTC) + timedelta(days=1)))
    with op.batch_alter_table("deliveries") as batch:
        batch.alter_column("give_up_at", existing_type=sa.DateTime(timezone=True), nullable=False)
        batch.create_index("ix_deliveries_claim", ["destination", "state", "priority", "run_after", "id"])


def downgrade() -> None:
    """One queue for all destinations again."""
    with op.batch_alter_table("deliveries") as batch:
        batch.drop_index("ix_deliveries_claim")
        batch.create_index("ix_deliveries_claim", ["state", "priority", "run_after", "id"])
        batch.drop_column("give_up_at")

"""The newest jobs of one state are found without walking over all of that state."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index; on a million jobs this takes seconds."""
    op.create_index("ix_jobs_state_updated", "jobs", ["state", "updated_at"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_jobs_state_updated", "jobs")

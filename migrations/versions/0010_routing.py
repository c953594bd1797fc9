"""Why an image was skipped: the rule, the region read from its attributes, and their words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """For existing images nothing is known; `echo-agent route explain` looks at files."""
    op.add_column("instances", sa.Column("skipped_by", sa.String(64), nullable=True))
    for column, length in (("skipped_region", 32), ("skipped_words", 64)):
        op.add_column("instances", sa.Column(column, sa.String(length), server_default="", nullable=False))


def downgrade() -> None:
    """Drop them: they are informational."""
    for column in ("skipped_words", "skipped_region", "skipped_by"):
        op.drop_column("instances", column)

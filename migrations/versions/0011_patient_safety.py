"""A person's decision on a study's patient, withdrawn drafts, and the code of the verifying person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No decisions, no withdrawn drafts and no codes exist yet."""
    op.add_column("studies", sa.Column("patient_content", sa.String(64), nullable=True))
    op.add_column("drafts", sa.Column("withdrawal", sa.String(8), nullable=True))
    op.create_index("ix_drafts_withdrawal", "drafts", ["withdrawal"])
    for name, length in (("identification", 64), ("identification_scheme", 16)):
        op.add_column("users", sa.Column(name, sa.String(length), server_default="", nullable=False))


def downgrade() -> None:
    """Drop them; documents of a withdrawal that were written stay."""
    for name in ("identification_scheme", "identification"):
        op.drop_column("users", name)
    op.drop_index("ix_drafts_withdrawal", "drafts")
    op.drop_column("drafts", "withdrawal")
    op.drop_column("studies", "patient_content")

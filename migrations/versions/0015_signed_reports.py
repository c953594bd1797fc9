"""Reports signed elsewhere, comparisons with them, sites, and drafts that are not delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Existing studies belong to no named site, and their drafts were delivered as configured."""
    op.add_column("studies", sa.Column("site", sa.String(64), nullable=False, server_default=""))
    op.add_column("drafts", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "signed_reports",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("source_key", sa.String(200), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), nullable=False),
        sa.Column("status", sa.String(1), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=False),
        sa.Column("signed_at", MOMENT, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=True),
        sa.Column("compared_at", MOMENT, nullable=True),
        sa.Column("code", sa.String(32), nullable=True),
        sa.UniqueConstraint("source", "source_key"),
    )
    op.create_index("ix_signed_reports_study", "signed_reports", ["study_id"])
    op.create_index("ix_signed_reports_uid", "signed_reports", ["study_instance_uid"])
    op.create_index("ix_signed_reports_accession", "signed_reports", ["accession_number"])
    op.create_index("ix_signed_reports_open", "signed_reports", ["compared_at", "id"])
    op.create_table(
        "shadow_comparisons",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("draft_id", ROW_ID, sa.ForeignKey("drafts.id"), nullable=False, unique=True),
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("report_id", ROW_ID, sa.ForeignKey("signed_reports.id"), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("drafted_at", MOMENT, nullable=False),
        sa.Column("pairs", sa.JSON(), nullable=False),
        sa.Column("disagreements", sa.Integer(), nullable=False),
        sa.Column("compared_at", MOMENT, nullable=False),
    )
    op.create_index("ix_shadow_comparisons_at", "shadow_comparisons", ["drafted_at"])
    op.create_index("ix_shadow_comparisons_study_id", "shadow_comparisons", ["study_id"])
    op.create_index("ix_shadow_comparisons_disagreements", "shadow_comparisons", ["disagreements"])


def downgrade() -> None:
    """Drop them; drafts of shadow mode stay, and look like those without a destination."""
    op.drop_table("shadow_comparisons")
    op.drop_table("signed_reports")
    op.drop_column("drafts", "shadow")
    op.drop_column("studies", "site")

"""HL7 messages of other systems, orders, and patients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def upgrade() -> None:
    """No messages have been received yet."""
    op.create_table(
        "hl7_messages",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.String(2), nullable=False),
        *_text("words"),
        sa.Column("received_at", MOMENT, nullable=False),
    )
    op.create_index("ix_hl7_messages_received", "hl7_messages", ["received_at", "outcome"])
    op.create_table(
        "orders",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        *_text("placer_number", "filler_number", "accession_number"),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        *_text("procedure_id", "procedure", "clinical_question"),
        sa.Column("priority", sa.Integer(), nullable=False),
        *_text("patient_id", "issuer_of_patient_id"),
        sa.Column("canceled", sa.Boolean(), nullable=False),
        sa.Column("message_id", ROW_ID, sa.ForeignKey("hl7_messages.id"), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
    )
    op.create_index("ix_orders_accession", "orders", ["accession_number"])
    op.create_index("ix_orders_study", "orders", ["study_instance_uid"])
    op.create_table(
        "patients",
        sa.Column("id", ROW_ID, primary_key=True),
        *_text("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date"),
        sa.Column("patient_sex", sa.String(16), nullable=False),
        sa.Column("merged_into", ROW_ID, sa.ForeignKey("patients.id"), nullable=True),
        sa.Column("message_id", ROW_ID, sa.ForeignKey("hl7_messages.id"), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.UniqueConstraint("patient_id", "issuer_of_patient_id"),
    )


def downgrade() -> None:
    """Drop them; drafts keep the information that they were given."""
    for table in ("patients", "orders", "hl7_messages"):
        op.drop_table(table)

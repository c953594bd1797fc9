"""Indexes to find workitems by patient name and accession number, and to list them by urgency."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_BATCH = 500
_NAME, _ORDERS, _ACCESSION = "00100010", "0040A370", "00080050"
WORKITEMS = sa.table(
    "workitems",
    sa.column("id", sa.Integer),
    sa.column("content", sa.JSON),
    sa.column("patient_name", sa.Text),
    sa.column("accession_number", sa.Text),
)


def upgrade() -> None:
    """Fill the new columns from the stored attributes."""
    for name in ("patient_name", "accession_number"):
        op.add_column("workitems", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    connection, last = op.get_bind(), 0
    while rows := connection.execute(
        sa.select(WORKITEMS.c.id, WORKITEMS.c.content)
        .where(WORKITEMS.c.id > last)
        .order_by(WORKITEMS.c.id)
        .limit(_BATCH)
    ).all():
        for row_id, content in rows:
            values = {"patient_name": _name(content), "accession_number": _accession(content)}
            connection.execute(sa.update(WORKITEMS).where(WORKITEMS.c.id == row_id).values(values))
        last = rows[-1][0]
    op.create_index("ix_workitems_urgency", "workitems", ["urgency", "id"])
    op.create_index(
        "ix_workitems_name",
        "workitems",
        ["patient_name"],
        postgresql_ops={"patient_name": "text_pattern_ops"},
    )
    op.create_index("ix_workitems_accession", "workitems", ["accession_number"])


def downgrade() -> None:
    """The attributes stay where they were."""
    for name in ("ix_workitems_accession", "ix_workitems_name", "ix_workitems_urgency"):
        op.drop_index(name, table_name="workitems")
    with op.batch_alter_table("workitems") as table:
        table.drop_column("accession_number")
        table.drop_column("patient_name")


def _name(content: dict[str, Any]) -> str:
    for name in (content.get(_NAME) or {}).get("Value") or []:
        groups = [name.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=").casefold().rstrip("^")
    return ""


def _accession(content: dict[str, Any]) -> str:
    orders = (content.get(_ORDERS) or {}).get("Value") or []
    found = {str(one) for order in orders for one in (order.get(_ACCESSION) or {}).get("Value") or []} - {""}
    return "*" if len(found) > 1 else next(iter(found), "")

"""The worklist's lines: one per study, with the keys to sort, search and filter by; users of OpenID."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
SHELVES = {"drafted": "open", "verified": "verified", "rejected": "rejected"}
BATCH = 1000
# Times are copied by the database, so that their form stays as it is.
LINES = sa.text(
    "INSERT INTO listings "
    "(study_id, draft_id, shelf, urgency, drafted_at, arrived_at, patient, taken, search) "
    "SELECT s.id, d.id, 'none', d.urgency, d.created_at, s.first_received_at, '', '', '' "
    "FROM drafts d JOIN studies s ON s.id = d.study_id "
    "WHERE NOT EXISTS (SELECT 1 FROM drafts n WHERE n.study_id = d.study_id AND n.id > d.id)"
)
OLD = sa.text(
    "SELECT l.study_id, d.outcome, d.demonstration, d.content, s.patient_name, s.patient_id, "
    "s.accession_number, s.study_description, s.study_date, s.study_time, "
    "(SELECT v.outcome FROM drafts v WHERE v.study_id = s.id AND v.outcome IN ('verified', 'rejected') "
    "AND v.id < d.id ORDER BY v.id DESC LIMIT 1) AS judged "
    "FROM listings l JOIN drafts d ON d.id = l.draft_id JOIN studies s ON s.id = l.study_id "
    "WHERE l.study_id > :after ORDER BY l.study_id LIMIT :batch"
)


def upgrade() -> None:
    """Add the tables, and a line for every study that has a draft."""
    op.drop_index("ix_drafts_newest", "drafts")
    op.drop_index("ix_drafts_worklist", "drafts")
    op.create_table(
        "listings",
        sa.Column("study_id", ROW_ID, sa.ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("draft_id", ROW_ID, sa.ForeignKey("drafts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("shelf", sa.String(16), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("drafted_at", MOMENT, nullable=False),
        sa.Column("arrived_at", MOMENT, nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("taken", sa.Text(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
    )
    op.create_table(
        "listing_tags",
        sa.Column("tag", sa.String(64), primary_key=True),
        sa.Column(
            "study_id", ROW_ID, sa.ForeignKey("listings.study_id", ondelete="CASCADE"), primary_key=True
        ),
    )
    op.add_column("users", sa.Column("subject", sa.String(512), nullable=True))
    op.create_index("ix_users_subject", "users", ["subject"], unique=True)
    _fill()
    op.create_index("ix_listings_urgency", "listings", ["shelf", "urgency", "drafted_at", "study_id"])
    op.create_index("ix_listings_arrival", "listings", ["shelf", "arrived_at", "study_id"])
    op.create_index("ix_listings_patient", "listings", ["shelf", "patient", "study_id"])
    op.create_index("ix_listings_taken", "listings", ["shelf", "taken", "study_id"])
    op.create_index("ix_listing_tags_study_id", "listing_tags", ["study_id"])


def _fill() -> None:
    bind = op.get_bind()
    bind.execute(LINES)
    update = sa.text(
        "UPDATE listings SET shelf = :shelf, patient = :patient, taken = :taken, search = :search "
        "WHERE study_id = :study_id"
    )
    tag = sa.text("INSERT INTO listing_tags (tag, study_id) VALUES (:tag, :study_id)")
    after = -1
    while rows := bind.execute(OLD, {"after": after, "batch": BATCH}).mappings().all():
        bind.execute(update, [_line(row) for row in rows])
        tags = [{"tag": one, "study_id": row["study_id"]} for row in rows for one in sorted(set(_tags(row)))]
        if tags:
            bind.execute(tag, tags)
        after = rows[-1]["study_id"]


def _line(row: Mapping[Any, Any]) -> dict[str, Any]:
    named = (row["patient_name"], row["patient_id"], row["accession_number"], row["study_description"])
    return {
        "study_id": row["study_id"],
        "shelf": SHELVES.get(row["outcome"], "none"),
        "patient": row["patient_name"].casefold()[:200],
        "taken": f"{row['study_date']}{row['study_time']}"[:200],
        "search": "\n".join(named).casefold()[:1000],
    }


def _tags(row: Mapping[Any, Any]) -> Iterator[str]:
    content = json.loads(row["content"]) if isinstance(row["content"], str) else row["content"]
    found = {
        one["concept"]
        for one in content.get("findings") or ()
        if one["presence"] != "absent" and one["concept"] != "no_finding"
    }
    yield from found
    if not found and row["outcome"] in ("drafted", "verified"):
        yield "normal"
    for flag in content.get("flags") or ():
        yield f"flag:{flag['code']}"[:64]
    if row["demonstration"]:
        yield "flag:demonstration"
    if row["judged"] == "verified" and row["outcome"] not in ("verified", "rejected"):
        yield "flag:after_verification"


def downgrade() -> None:
    """Drop them; all of their content is derived from other rows. Users of OpenID keep their rows."""
    op.drop_table("listing_tags")
    op.drop_table("listings")
    op.drop_index("ix_users_subject", "users")
    op.drop_column("users", "subject")
    op.create_index("ix_drafts_worklist", "drafts", ["outcome", "urgency", "created_at", "id"])
    op.create_index("ix_drafts_newest", "drafts", ["outcome", "created_at", "id"])

"""An index to find workitems by any value of their attributes, not only by five columns."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CODE_POINTS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_BATCH = 500
_NUMBERS = frozenset({"IS", "DS", "SS", "US", "SL", "UL", "SV", "UV", "FL", "FD"})
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_MOMENT = re.compile(r"(\d{4,14})(\.\d{1,6})?([+-]\d{4})?")
_CHARACTER_SET, _NAME, _PATIENT, _ORDERS = "00080005", "00100010", "00100020", "0040A370"
_ACCESSION, _STUDY, _INPUT = "00080050", "0020000D", "00404021"
_LONGEST = 64
_TEXT_COLUMNS = ("patient_id", "patient_name", "accession_number")
WORKITEMS = sa.table(
    "workitems",
    sa.column("id", sa.Integer),
    sa.column("content", sa.JSON),
    *(sa.column(name, sa.Text) for name in (*_TEXT_COLUMNS, "study_instance_uid")),
)


def upgrade() -> None:
    """Add a row for every value of the existing workitems."""
    for name in ("name", "accession", "study", "patient"):
        op.drop_index(f"ix_workitems_{name}", table_name="workitems")
    with op.batch_alter_table("workitems") as table:
        for name in (*_TEXT_COLUMNS, "study_instance_uid"):
            table.drop_column(name)
    values = op.create_table(
        "workitem_values",
        sa.Column("workitem_id", ROW_ID, sa.ForeignKey("workitems.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("path", sa.BigInteger(), primary_key=True),
        sa.Column("value", CODE_POINTS, primary_key=True),
        sqlite_with_rowid=False,
    )
    for batch in _batches():
        rows = [
            {"workitem_id": row_id, "path": path, "value": value}
            for row_id, content in batch
            for path, value in frozenset(_entries(content, ()))
        ]
        if rows:
            op.bulk_insert(values, rows)
    op.create_index("ix_workitem_values_value", "workitem_values", ["path", "value", "workitem_id"])


def downgrade() -> None:
    """Fill the five columns again; the attributes are unchanged."""
    for name in _TEXT_COLUMNS:
        op.add_column("workitems", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "workitems", sa.Column("study_instance_uid", sa.String(64), nullable=False, server_default="")
    )
    for batch in _batches():
        for row_id, content in batch:
            op.get_bind().execute(
                sa.update(WORKITEMS).where(WORKITEMS.c.id == row_id).values(_columns(content))
            )
    op.create_index(
        "ix_workitems_name",
        "workitems",
        ["patient_name"],
        postgresql_ops={"patient_name": "text_pattern_ops"},
    )
    op.create_index("ix_workitems_accession", "workitems", ["accession_number"])
    op.create_index("ix_workitems_study", "workitems", ["study_instance_uid"])
    op.create_index("ix_workitems_patient", "workitems", ["patient_id"])
    op.drop_table("workitem_values")


def _batches() -> Iterator[list[tuple[int, dict[str, Any]]]]:
    last = 0
    query = sa.select(WORKITEMS.c.id, WORKITEMS.c.content).order_by(WORKITEMS.c.id).limit(_BATCH)
    while rows := op.get_bind().execute(query.where(WORKITEMS.c.id > last)).all():
        yield [(row.id, row.content) for row in rows]
        last = rows[-1].id


def _entries(content: dict[str, Any], before: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for name, element in content.items():
        vr = element.get("vr", "")
        if name == _CHARACTER_SET or vr in _BINARY or int(name[:4], 16) % 2:
            continue
        path = (*before, name)
        for value in element.get("Value") or ():
            if vr == "SQ":
                yield from _entries(value, path)
            elif (text := _comparable(vr, _text(value))) is not None:
                yield zlib.crc32(".".join(path).encode()), text[:_LONGEST]


def _text(value: Any) -> str:
    if not isinstance(value, dict):
        return "" if value is None else str(value).strip(" \0")
    groups = (str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic"))
    return "=".join(groups).rstrip("=")


def _comparable(vr: str, text: str) -> str | None:
    if vr == "PN":
        return text.casefold().rstrip("^")
    if vr == "DT":
        return _moment(text)
    if vr not in _NUMBERS:
        return text
    try:
        return str(float(text))
    except ValueError:
        return text


def _moment(text: str) -> str | None:
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    digits, fraction, offset = match[1], match[2] or ".", match[3] or "+0000"
    filled = digits + "00010101000000"[len(digits) :]
    micro = int(fraction[1:].ljust(6, "0"))
    try:
        year, month, day = int(filled[:4]), int(filled[4:6]), int(filled[6:8])
        hour, minute, second = (int(filled[at : at + 2]) for at in (8, 10, 12))
        local = datetime(year, month, day, hour, minute, second, micro, UTC)
        distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
        moment = local + distance if offset[0] == "-" else local - distance
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="microseconds")


def _columns(content: dict[str, Any]) -> dict[str, str]:
    """What was found by columns of its own; several accession numbers were a `*`."""
    orders = _values(content, _ORDERS)
    numbers = {_text(one) for order in orders for one in _values(order, _ACCESSION)} - {""}
    studies = [_text(one) for item in (*_values(content, _INPUT), *orders) for one in _values(item, _STUDY)]
    return {
        "patient_id": next(map(_text, _values(content, _PATIENT)), ""),
        "patient_name": next(map(_text, _values(content, _NAME)), "").casefold().rstrip("^"),
        "accession_number": "*" if len(numbers) > 1 else next(iter(numbers), ""),
        "study_instance_uid": next(iter(studies), ""),
    }


def _values(content: dict[str, Any], name: str) -> list[Any]:
    return (content.get(name) or {}).get("Value") or []

"""Counts after the kills: messages that were lost, applied twice, changed, or out of order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from agent.database.orders import Hl7Message, Order
from agent.database.session import Database
from agent.database.signed import SignedReport
from agent.database.states import DeliveryState
from agent.database.tables import Delivery, Document
from agent.messages.hl7.parse import parse
from benchmarks.hl7_kills_peers import Received


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Counts of faults; all of them must be 0.

    in_lost: acknowledged, but not stored and applied. in_twice: applied again after its first time.
    out_lost: written, and never received. out_changed: received with other bytes, or under another MSH-10.
    out_disordered: received after a later message of its study. out_unsettled: not STORED in the end.
    """

    in_lost: int
    in_twice: int
    out_lost: int
    out_changed: int
    out_disordered: int
    out_unsettled: int

    @property
    def faults(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in self.__slots__)


def of_incoming(
    database: Database, acknowledged: Sequence[str], orders: int, reports: int
) -> tuple[int, int]:
    """Return how many acknowledged messages were lost, and how many changes were made more than once.

    orders, reports: the contents of the acknowledged messages, each once.
    """
    with database.reading() as session:
        rows = session.scalars(select(Hl7Message)).all()
        kept = Counter(parse(row.content).control_id for row in rows)
        applied = {row.id: row.received_at for row in rows}
        found = session.scalars(select(Order)).all()
        signed = session.scalar(select(func.count()).select_from(SignedReport)) or 0
    lost = sum(kept[one] == 0 for one in acknowledged) + max(0, orders - len(found))
    lost += max(0, reports - signed)
    twice = sum(count > 1 for count in kept.values()) + max(0, len(found) - orders)
    # An order that was applied again would have a different time from its message.
    twice += sum(one.updated_at != applied.get(one.message_id or 0) for one in found)
    twice += max(0, signed - reports)
    return lost, twice


def of_outgoing(database: Database, received: Sequence[Received]) -> tuple[int, int, int, int]:
    """Return what was lost, changed, out of order, and not settled."""
    with database.reading() as session:
        written = session.execute(
            select(Document.content, Delivery.state)
            .join(Delivery, Delivery.document_id == Document.id)
            .order_by(Document.id)
        ).all()
    expected = {parse(row.content).control_id: _bare_sha256(row.content) for row in written}
    came = {one.control_id for one in received}
    lost = len(written) - len(came & set(expected))
    changed = sum(one.sha256 != expected.get(one.control_id) for one in received)
    unsettled = sum(row.state != DeliveryState.STORED.value for row in written)
    return lost, changed, _disordered(list(expected), received), unsettled


def _bare_sha256(content: bytes) -> str:
    """Return the digest of a frame's content; the receiver counts the last CR as part of the frame."""
    return hashlib.sha256(content.strip(b"\x0b\x1c\r")).hexdigest()


def _disordered(written: Sequence[str], received: Sequence[Received]) -> int:
    """Count messages that arrived after a later one of the same study."""
    number = {control_id: n for n, control_id in enumerate(written)}
    latest: dict[str, int] = {}
    count = 0
    for one in received:
        at = number.get(one.control_id, -1)
        count += at < latest.get(one.study, -1)
        latest[one.study] = max(at, latest.get(one.study, -1))
    return count

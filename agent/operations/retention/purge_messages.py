"""The purge of HL7 messages: their bytes contain patient data that is not needed once it is applied.

What was applied stays: orders, patients, signed reports. A row that one of them refers to is kept without its
bytes; any other row is deleted. A repetition of a message whose row was deleted counts as a new message.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.orders import Hl7Message, KnownPatient, Order
from agent.database.session import Database, database_now

_PAGE = 1000


def purge_messages(database: Database, days: float, *, actor: str) -> int:
    """Purge messages that were received longer ago than this; return how many.

    Raises:
        DatabaseUnavailable: earlier pages are purged.
    """
    total = 0
    while done := _page(database, days, actor):
        total += done
    return total


def _page(database: Database, days: float, actor: str) -> int:
    with database.transaction() as session:
        limit = database_now(session) - timedelta(days=days)
        old = (Hl7Message.received_at < limit,)
        # NOT IN is never true if the list contains a null, such as from an order of a modality worklist.
        orders = select(Order.message_id).where(Order.message_id.is_not(None))
        named = or_(Hl7Message.id.in_(orders), Hl7Message.id.in_(select(KnownPatient.message_id)))
        gone = _ids(session, *old, ~named)
        emptied = _ids(session, *old, named, Hl7Message.content != b"")
        if gone:
            _run(session, delete(Hl7Message).where(Hl7Message.id.in_(gone)))
        if emptied:
            _run(session, update(Hl7Message).where(Hl7Message.id.in_(emptied)).values(content=b""))
        count = len(gone) + len(emptied)
        if count:
            details = {"kind": "hl7", "count": count}
            record(session, Event(action=Action.PURGE, actor=actor, details=details))
        return count


def _ids(session: Session, *conditions: object) -> list[int]:
    wanted = select(Hl7Message.id).where(*conditions).order_by(Hl7Message.id).limit(_PAGE)  # type: ignore[arg-type]
    return list(session.scalars(wanted))


def _run(session: Session, statement: object) -> None:
    session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]

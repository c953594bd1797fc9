"""Old HL7 messages: their bytes are purged, what they reported stays."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from agent.database.orders import Hl7Message, KnownPatient, Order
from agent.database.people import AuditEvent
from agent.database.session import Database
from agent.database.signed import SignedReport
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.parse import parse
from agent.operations.retention.purge_messages import purge_messages
from agent.ris.inbox import Inbox
from tests.support.hl7_messages import hl7, merge, msh, order, report


def _take(database: Database, *messages: bytes) -> None:
    inbox = Inbox(database, Hl7Settings())
    for one in messages:
        assert next(parse(inbox.take(one, "127.0.0.1")[0]).all("MSA")).text(1) == "AA"


def _age(database: Database, days: float) -> None:
    with database.transaction() as session:
        for row in session.scalars(select(Hl7Message)):
            row.received_at -= timedelta(days=days)


def test_purge_keeps_what_was_told_and_not_the_bytes(database: Database) -> None:
    """A row that an order or a patient refers to stays empty; others go; recent messages do not change."""
    _take(database, order("O1"), order("O2"), merge("M1", "PB", "PA"), report("R1"))
    _take(database, hl7(msh("SIU^S12", "S1"), "SCH|1"))
    _age(database, 31)
    _take(database, order("O3", accession="A2"))
    with database.transaction() as session:
        # As for an order from a modality worklist.
        session.scalars(select(Order).where(Order.accession_number == "A2")).one().message_id = None
    assert purge_messages(database, 30, actor="test") == 5
    assert purge_messages(database, 30, actor="test") == 0
    with database.reading() as session:
        kept = session.scalars(select(Hl7Message).order_by(Hl7Message.id)).all()
        assert [bool(row.content) for row in kept] == [False, False, True]
        counts = [len(session.scalars(select(table)).all()) for table in (Order, KnownPatient, SignedReport)]
        assert counts == [2, 2, 1]
        purges = session.scalars(select(AuditEvent.details).where(AuditEvent.action == "purge")).all()
    assert purges == [{"kind": "hl7", "count": 5}]


def test_repetition_of_an_emptied_message_still_changes_nothing(database: Database) -> None:
    """The row that an order refers to still identifies the message without its bytes."""
    _take(database, order("O1", question="Old?"))
    with database.transaction() as session:
        session.execute(update(Order).values(clinical_question="Newer?"))
    _age(database, 31)
    purge_messages(database, 30, actor="test")
    _take(database, order("O1", question="Old?"))
    with database.reading() as session:
        assert session.scalars(select(Order.clinical_question)).all() == ["Newer?"]

"""Rules for the audit's rows, and a recorder that never blocks its caller."""

from __future__ import annotations

from contextlib import suppress

import pytest
from sqlalchemy import select

from agent.database.audit.record import Action, Event, Recorder, record
from agent.database.session import Database
from agent.database.tables import AuditEvent
from agent.foundation.errors import DatabaseUnavailable


def rows(database: Database) -> list[tuple[str, str, bool, dict[str, object]]]:
    """Every event: action, actor, whether it succeeded, and details."""
    with database.reading() as session:
        found = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        return [(one.action, one.actor, one.succeeded, one.details) for one in found]


def test_event_commits_with_its_transaction(database: Database) -> None:
    """An event is stored if and only if its transaction commits."""
    with database.transaction() as session:
        record(session, Event(action=Action.SENT, actor="deliverer", details={"destination": "pacs"}))
    with suppress(KeyError), database.transaction() as session:
        record(session, Event(action=Action.SENT, actor="deliverer"))
        raise KeyError("the work failed")
    assert rows(database) == [("document-sent", "deliverer", True, {"destination": "pacs"})]


def test_unlisted_detail_is_refused(database: Database) -> None:
    """A patient's attribute cannot be recorded by mistake."""
    with pytest.raises(ValueError, match="patient_name"), database.transaction() as session:
        record(session, Event(action=Action.VIEW, actor="a", details={"patient_name": "DOE"}))


def test_recorder_merges_equal_events(database: Database) -> None:
    """Many equal events become one row with their count."""
    recorder = Recorder(database, "listener")
    refused = Event(action=Action.REFUSED, actor="EVIL", address="192.0.2.9", succeeded=False)
    for _ in range(1000):
        recorder.note(refused)
    recorder.note(Event(action=Action.ASSOCIATION, actor="CR1", details={"count": 2}))
    recorder.flush()
    recorder.flush()
    assert rows(database) == [
        ("association-refused", "EVIL", False, {"count": 1000}),
        ("association", "CR1", True, {"count": 2}),
    ]


def test_recorder_bounds_what_it_keeps(database: Database) -> None:
    """Beyond the limit, the number of dropped events is itself recorded."""
    recorder = Recorder(database, "listener", most=2)
    for number in range(5):
        recorder.note(Event(action=Action.REFUSED, actor=f"AE{number}"))
    recorder.flush()
    assert [(action, details) for action, _, _, details in rows(database)] == [
        ("association-refused", {}),
        ("association-refused", {}),
        ("fault", {"code": "audit-overflow", "count": 3}),
    ]


def test_recorder_keeps_events_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that could not be written are written later."""
    recorder = Recorder(database, "listener")
    recorder.note(Event(action=Action.REFUSED, actor="EVIL"), 3)

    def away(self: Database) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "transaction", away)
        with pytest.raises(DatabaseUnavailable):
            recorder.flush()
    recorder.flush()
    assert rows(database) == [("association-refused", "EVIL", True, {"count": 3})]


def test_recorder_writes_the_rest_at_its_end(database: Database) -> None:
    """A regular shutdown loses no events."""
    with Recorder(database, "listener", every_s=60) as recorder:
        recorder.note(Event(action=Action.STOP, actor="listener"))
    assert rows(database) == [("stop", "listener", True, {})]

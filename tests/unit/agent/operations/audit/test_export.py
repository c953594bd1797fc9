"""Every event reaches every destination at least once and in order, whatever is unavailable meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from sqlalchemy import delete, select, update

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.tables import AuditCursor, AuditEvent, Study
from agent.foundation.errors import AuditUndelivered
from agent.foundation.settings.tree import Settings
from agent.operations.audit.export import AuditExporter, sinks_of
from agent.operations.audit.sinks import FileSink, MessageLine, SyslogSink
from agent.operations.health import judge
from agent.operations.status import read_status


class Recording:
    """A destination that accepts messages unless it is down."""

    def __init__(self, name: str = "syslog") -> None:
        self.name = name
        self.down = False
        self.dies_after_taking = False
        self.users: list[str] = []
        self.texts: list[str] = []

    def deliver(self, lines: Sequence[MessageLine]) -> None:
        """Accept the batch unless down."""
        if self.down:
            raise AuditUndelivered("down")
        self.texts += [one.text for one in lines]
        self.users += [str(fromstring(one.text).find("ActiveParticipant").get("UserID")) for one in lines]
        if self.dies_after_taking:
            raise KeyboardInterrupt


def write(database: Database, *actors: str, **values: Any) -> None:
    """Record a sign-in of each actor, or the event that `values` describe."""
    with database.transaction() as session:
        for actor in actors:
            record(session, Event(**({"action": Action.SIGN_IN, "actor": actor} | values)))


def study(database: Database) -> int:
    """Add a study of a patient with recognisable values."""
    now = datetime.now(UTC)
    with database.transaction() as session:
        row = Study(
            study_instance_uid="1.2.3",
            patient_id="MARKID",
            patient_name="MARKNAME",
            first_received_at=now,
            last_received_at=now,
        )
        session.add(row)
        session.flush()
        return row.id


def exporter(database: Database, *sinks: Recording, **audit: Any) -> AuditExporter:
    """An exporter for these destinations."""
    return AuditExporter(database, Settings(audit=audit), sinks, host="echo1")


def test_events_are_exported_once_and_in_order(database: Database) -> None:
    """The cursor is kept across exporters."""
    sink = Recording()
    write(database, "a", "b")
    assert exporter(database, sink).run_once() == {"syslog": 2}
    write(database, "c")
    assert exporter(database, sink).run_once() == {"syslog": 1}
    assert exporter(database, sink).run_once() == {}
    assert sink.users == ["a", "b", "c"]


def test_dead_server_gets_everything_later_and_holds_up_nobody(database: Database) -> None:
    """The file continues while the syslog server is down; afterwards the server gets all events in order."""
    syslog, file = Recording("syslog"), Recording("file")
    syslog.down = True
    for actor in "abc":
        write(database, actor)
        with pytest.raises(AuditUndelivered):
            exporter(database, syslog, file).run_once()
    with database.reading() as session:
        codes = {one.sink: one.code for one in session.scalars(select(AuditCursor))}
    assert (file.users, codes) == (["a", "b", "c"], {"syslog": "audit-undelivered", "file": None})
    syslog.down = False
    assert exporter(database, syslog, file).run_once() == {"syslog": 3}
    assert syslog.users == ["a", "b", "c"]


def test_death_between_sending_and_noting_repeats_and_loses_nothing(database: Database) -> None:
    """The batch is sent again when the dead exporter's lease has expired."""
    sink = Recording()
    write(database, "a", "b")
    sink.dies_after_taking = True
    with pytest.raises(KeyboardInterrupt):
        exporter(database, sink).run_once()
    sink.dies_after_taking = False
    assert exporter(database, sink).run_once() == {}
    with database.transaction() as session:
        session.execute(update(AuditCursor).values(lease_until=database_now(session) - timedelta(seconds=1)))
    assert exporter(database, sink).run_once() == {"syslog": 2}
    assert sink.users == ["a", "b", "a", "b"]


def test_second_exporter_takes_nothing_that_another_holds(database: Database) -> None:
    """Two housekeepers send each event once."""
    sink, other = Recording(), Recording()

    class Nested(Recording):
        def deliver(self, lines: Sequence[MessageLine]) -> None:
            exporter(database, other).run_once()
            super().deliver(lines)

    nested = Nested()
    write(database, "a")
    exporter(database, nested).run_once()
    assert (nested.users, other.users, sink.users) == (["a"], [], [])


def test_number_that_is_missing_is_waited_for_then_passed_and_remembered(database: Database) -> None:
    """On PostgreSQL a transaction may commit after one with a larger number; its event is sent late."""
    sink = Recording()
    write(database, "a", "b", "c", "d")
    with database.transaction() as session:
        held = session.scalars(select(AuditEvent).where(AuditEvent.id == 2)).one()
        values = {column.key: getattr(held, column.key) for column in AuditEvent.__table__.columns}
        session.execute(delete(AuditEvent).where(AuditEvent.id == 2))
    assert exporter(database, sink).run_once() == {"syslog": 1}
    assert exporter(database, sink).run_once() == {}
    with database.transaction() as session:
        session.execute(update(AuditEvent).values(at=database_now(session) - timedelta(seconds=60)))
    assert exporter(database, sink).run_once() == {"syslog": 2}
    with database.transaction() as session:
        session.add(AuditEvent(**values))
    assert exporter(database, sink).run_once() == {"syslog": 1}
    assert exporter(database, sink).run_once() == {}
    assert sink.users == ["a", "c", "d", "b"]


def test_batches_follow_one_another(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run catches up on a long outage."""
    monkeypatch.setattr("agent.operations.audit.export.BATCH", 2)
    sink = Recording()
    write(database, *"abcde")
    assert exporter(database, sink).run_once() == {"syslog": 5}
    assert sink.users == list("abcde")


def test_instances_of_one_study_are_one_message(database: Database) -> None:
    """Instances are recorded one by one, each in its own transaction; the message counts them."""
    study_id, sink = study(database), Recording()
    for count in range(3):
        classes = {"sop_classes": ["1.2.840.10008.5.1.4.1.1.1"], "count": 1}
        write(database, "CR1", action=Action.RECEIVED, study_id=study_id, details=classes)
        if count == 1:
            write(database, "CR1", action=Action.RECEIVED, study_id=study_id, succeeded=False)
    assert exporter(database, sink).run_once() == {"syslog": 3}
    counts = [
        one.get("NumberOfInstances") for text in sink.texts for one in fromstring(text).iter("SOPClass")
    ]
    assert counts == ["2", "1"]


@pytest.mark.parametrize("identity", ["identifiers", "hashes"])
def test_patient_is_named_by_identifier_or_hash_never_by_name(database: Database, identity: str) -> None:
    """The standard requires the Patient ID; its hash is sent instead if the settings say so."""
    study_id, sink = study(database), Recording()
    write(database, "a", action=Action.VIEW, study_id=study_id)
    write(database, "a", action=Action.LIST, details={"studies": [study_id]})
    exporter(database, sink, identity=identity).run_once()
    text = "".join(sink.texts)
    found = ("MARKID" in text, "1.2.3" in text.replace("10008.5.1.4.1.2.2.1", ""), "MARKNAME" in text)
    assert found == ((True, True, False) if identity == "identifiers" else (False, False, False))


def test_exported_events_are_forgotten_after_their_time(database: Database) -> None:
    """An event that a destination has not received stays, as does the newest row, which numbers the next."""
    sink = Recording()
    write(database, "a", "b")
    with database.transaction() as session:
        session.execute(update(AuditEvent).values(at=database_now(session) - timedelta(days=40)))
    sink.down = True
    with pytest.raises(AuditUndelivered):
        exporter(database, sink, keep_days=30).run_once()
    with database.reading() as session:
        assert session.scalars(select(AuditEvent.actor)).all() == ["a", "b"]
    sink.down = False
    exporter(database, sink, keep_days=30).run_once()
    with database.reading() as session:
        assert session.scalars(select(AuditEvent.actor)).all() == ["b"]
    write(database, "c")
    exporter(database, sink, keep_days=30).run_once()
    assert sink.users == ["a", "b", "c"]


def test_settings_name_the_destinations(tmp_path: Path) -> None:
    """A file, a server, both or none can be set."""
    both = Settings(audit={"file": tmp_path / "audit.log", "syslog": "udp://127.0.0.1:514"})
    assert [type(one) for one in sinks_of(both, "echo1")] == [FileSink, SyslogSink]
    assert sinks_of(Settings(), "echo1") == ()


def test_json_file_holds_a_message_a_line(database: Database, tmp_path: Path) -> None:
    """`file_format: json` applies to the file only; a syslog server still gets XML."""
    path, syslog = tmp_path / "audit.jsonl", Recording()
    write(database, "a")
    settings = Settings(audit={"file": path, "file_format": "json"})
    sinks = [FileSink(path), syslog]
    assert AuditExporter(database, settings, sinks, host="echo1").run_once() == {"file": 1, "syslog": 1}
    assert fromstring(syslog.texts[0]).tag == "AuditMessage"
    assert path.read_text(encoding="utf-8").startswith('{"EventIdentification": [{"EventActionCode": "E"')


def test_destination_that_takes_nothing_is_seen_in_the_status(database: Database, tmp_path: Path) -> None:
    """The status shows how many messages wait, since when, and that action is needed."""
    settings = Settings(
        audit={"file": tmp_path / "audit.xml", "syslog": "udp://127.0.0.1:514"}, storage={"path": tmp_path}
    )
    write(database, "a", "b")
    syslog, file = Recording("syslog"), Recording("file")
    syslog.down = True
    with pytest.raises(AuditUndelivered):
        AuditExporter(database, settings, [syslog, file], host="echo1").run_once()
    status = read_status(database, settings)
    assert {name: (one.waiting, one.code) for name, one in status.audit.items()} == {
        "file": (0, None),
        "syslog": (2, "audit-undelivered"),
    }
    assert "the audit's syslog accepts no messages: 2 wait" in str(judge(status, settings))
    assert read_status(database, Settings()).audit == {}

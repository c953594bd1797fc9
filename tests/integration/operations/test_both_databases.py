"""The purge and the export of audit messages on SQLite and PostgreSQL: the same rules and real races."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from xml.etree.ElementTree import fromstring

import pytest
from sqlalchemy import select, update

from agent.database.audit.record import Action, Event, record
from agent.database.session import Database, database_now
from agent.database.tables import AuditCursor, AuditEvent, Instance, Job, Study
from agent.foundation.settings.tree import Settings, StudySettings
from agent.network.contexts import CR_IMAGE
from agent.objects.store import InstanceStore
from agent.operations.audit.export import AuditExporter
from agent.operations.audit.sinks import MessageLine
from agent.operations.retention.purge import Purge
from agent.receive.intake import Intake
from agent.receive.receiver import Command, Receiver, StoreAnswer
from agent.receive.reconcile_files import reconcile
from agent.service.ticks import Housekeeper
from tests.integration.receive.peer import EXPLICIT
from tests.support.films import bare_film, dataset_bytes
from tests.unit.agent.rows import add_draft

pytestmark = pytest.mark.integration
PACS = {"name": "pacs", "host": "127.0.0.1", "commitment": True}


class Recording:
    """A destination that records what it is sent."""

    name = "syslog"

    def __init__(self) -> None:
        self.users: list[str] = []

    def deliver(self, lines: Sequence[MessageLine]) -> None:
        """Accept the batch."""
        self.users += [str(fromstring(one.text).find("ActiveParticipant").get("UserID")) for one in lines]


def take(database: Database, store: InstanceStore, number: int) -> StoreAnswer:
    """Receive the image of a study, as the listener does."""
    uid = f"1.2.{number}.1.1"
    dataset = dataset_bytes(bare_film(SOPInstanceUID=uid, StudyInstanceUID=f"1.2.{number}"))
    command = Command(
        sop_class_uid=CR_IMAGE,
        sop_instance_uid=uid,
        context_class_uid=CR_IMAGE,
        transfer_syntax_uid=EXPLICIT,
        calling_ae_title="CR1",
    )
    return Receiver(store, Intake(database, StudySettings())).receive(command, memoryview(dataset))


def grow_old(database: Database, *numbers: int) -> None:
    """Make studies that were delivered and committed long ago."""
    with database.transaction() as session:
        at = database_now(session) - timedelta(days=40)
        for number in numbers:
            study = session.scalars(select(Study).where(Study.study_instance_uid == f"1.2.{number}")).one()
            job = session.scalars(select(Job).where(Job.study_id == study.id)).one()
            add_draft(session, job, at=at, stored_after_s=1, delivery_state="COMMITTED")
            study.last_received_at = job.updated_at = at
            job.state = "DELIVERED"


def purge(database: Database, store: InstanceStore) -> Purge:
    """Purge what is older than 30 days."""
    settings = Settings(retention={"keep_days": 30}, destinations=[PACS])
    return Purge(database, settings, store, lambda: None, actor="test")


def test_purge_obeys_the_same_rules(both_databases: Database, tmp_path: Path) -> None:
    """Old studies go, recent ones stay, each purge is an event, and the next start misses no file."""
    store = InstanceStore(tmp_path / "instances", 0)
    for number in range(1, 6):
        take(both_databases, store, number)
    grow_old(both_databases, 1, 2, 3)
    assert [one.reason.value for one in purge(both_databases, store).plan()] == [
        "old", "old", "old", "unfinished", "unfinished",
    ]  # fmt: skip
    done = purge(both_databases, store).run()
    assert (done.studies, done.files, len(list(store.files()))) == (3, 3, 2)
    assert take(both_databases, store, 1).code == "restored"
    assert take(both_databases, store, 1).code == "duplicate"
    found = reconcile(both_databases, store, Intake(both_databases, StudySettings()))
    assert (found.missing, found.removed, found.ingested) == (0, 0, 0)
    with both_databases.reading() as session:
        events = session.scalars(select(AuditEvent.study_id).where(AuditEvent.action == "purge")).all()
    assert len(events) == 3


def test_arrivals_during_the_purge_are_never_lost(both_databases: Database, tmp_path: Path) -> None:
    """Images are sent again while they are being purged: every acknowledged one has its file in the end."""
    store = InstanceStore(tmp_path / "instances", 0)
    numbers = list(range(1, 13))
    for number in numbers:
        take(both_databases, store, number)
    grow_old(both_databases, *numbers)
    stop = threading.Event()

    def send() -> None:
        chance = Random(7)
        while not stop.is_set():
            take(both_databases, store, chance.choice(numbers))

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    purged = 0
    for _ in range(4):
        with both_databases.transaction() as session:
            at = database_now(session) - timedelta(days=40)
            session.execute(update(Study).values(last_received_at=at))
        purged += purge(both_databases, store).run().files
    stop.set()
    for sender in senders:
        sender.join()
    with both_databases.reading() as session:
        live = set(session.scalars(select(Instance.sha256).where(Instance.purged_at.is_(None))))
    assert purged >= len(numbers)
    assert live <= set(store.files())


def test_event_that_commits_late_is_exported_late_and_not_lost(
    both_databases: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL a slow writer's event commits after events with higher numbers, and is still exported."""
    monkeypatch.setattr("agent.operations.audit.export.GAP_PATIENCE_S", 0.0)
    sink = Recording()
    exporter = AuditExporter(both_databases, Settings(), [sink], host="echo1")

    def write(actor: str) -> None:
        with both_databases.transaction() as session:
            record(session, Event(action=Action.SIGN_IN, actor=actor))

    if both_databases.is_sqlite:
        # One writer at a time: the numbers are in commit order.
        for actor in ("fast", "slow"):
            write(actor)
            exporter.run_once()
    else:
        with both_databases.transaction() as session:
            record(session, Event(action=Action.SIGN_IN, actor="slow"))
            write("fast")
            exporter.run_once()
            assert sink.users == ["fast"]
    exporter.run_once()
    assert sink.users == ["fast", "slow"]
    with both_databases.reading() as session:
        assert session.scalars(select(AuditCursor.gaps)).one() == {}


def test_rolled_back_event_is_not_waited_for_for_ever(
    both_databases: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that will never be used does not hold up the export."""
    monkeypatch.setattr("agent.operations.audit.export.GAP_PATIENCE_S", 0.0)
    sink = Recording()
    with pytest.raises(KeyError), both_databases.transaction() as session:  # noqa: PT012
        record(session, Event(action=Action.SIGN_IN, actor="never"))
        raise KeyError
    with both_databases.transaction() as session:
        record(session, Event(action=Action.SIGN_IN, actor="a"))
    AuditExporter(both_databases, Settings(), [sink], host="echo1").run_once()
    assert sink.users == ["a"]


def test_second_housekeeper_changes_nothing(both_databases: Database, tmp_path: Path) -> None:
    """Two housekeepers purge each study once and export each event once."""
    store = InstanceStore(tmp_path / "instances", 0)
    for number in range(1, 9):
        take(both_databases, store, number)
    grow_old(both_databases, *range(1, 9))
    audit = tmp_path / "audit.xml"
    settings = Settings(
        retention={"keep_days": 30}, audit={"file": audit}, destinations=[PACS], storage={"path": store.path}
    )
    houses = [Housekeeper(both_databases, settings, store, Random(1)) for _ in range(2)]

    def keep(house: Housekeeper) -> None:
        house.purge()
        house.export()

    threads = [threading.Thread(target=keep, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    houses[0].export()
    with both_databases.reading() as session:
        events = session.scalars(select(AuditEvent.study_id).where(AuditEvent.action == "purge")).all()
    deleted = audit.read_text(encoding="utf-8").count('displayName="DICOM Study Deleted"')
    assert (len(events), len(set(events)), deleted, list(store.files())) == (8, 8, 8, [])

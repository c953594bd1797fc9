"""Rules of the comparison of files and rows at start-up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import Instance, Job, Quarantined, Study
from agent.foundation.settings.tree import StudySettings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore, StoredFile, part10_head
from agent.receive.intake import Intake
from agent.receive.reconcile_files import Reconciled, reconcile

ChestBytes = Callable[..., bytes]
CR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2.1"


@pytest.fixture
def store(tmp_path: Path) -> InstanceStore:
    """A store without a reserve."""
    return InstanceStore(tmp_path / "instances", 0)


@pytest.fixture
def intake(database: Database) -> Intake:
    """An intake with the default times."""
    return Intake(database, StudySettings())


def put(store: InstanceStore, dataset: bytes) -> StoredFile:
    """Make a dataset durable, without a row."""
    return store.put((part10_head(CR, "1.2.3.1.1", EXPLICIT), dataset))


def test_file_without_a_row_is_ingested(
    database: Database, store: InstanceStore, intake: Intake, chest_bytes: ChestBytes
) -> None:
    """A crash between rename and commit loses nothing: the restart enters the file."""
    file = put(store, chest_bytes())
    assert reconcile(database, store, intake) == Reconciled(ingested=1, quarantined=0, removed=0, missing=0)
    with database.transaction() as session:
        assert session.scalars(select(Instance.sha256)).all() == [file.sha256]
        assert session.scalars(select(Job.state)).all() == ["RECEIVING"]
    assert reconcile(database, store, intake) == Reconciled(ingested=0, quarantined=0, removed=0, missing=0)


def test_file_that_is_no_instance_is_quarantined(
    database: Database, store: InstanceStore, intake: Intake, chest_bytes: ChestBytes
) -> None:
    """A file that cannot be parsed is moved out of the store and is visible."""
    file = put(store, chest_bytes()[:-8])
    assert reconcile(database, store, intake).quarantined == 1
    with database.transaction() as session:
        row = session.scalars(select(Quarantined)).one()
    assert (row.sha256, row.code) == (file.sha256, "instance-unreadable")
    assert store.open_quarantined(file.sha256).exists()
    assert list(store.files()) == []


def lose(store: InstanceStore, intake: Intake, content: bytes) -> None:
    """Receive a file, and delete it without the service's knowledge."""
    file = put(store, content)
    intake.receive(read_stored(store.open(file.sha256)), file, "CR")
    store.open(file.sha256).unlink()


def test_row_without_a_file_marks_its_study(
    database: Database, store: InstanceStore, intake: Intake, chest_bytes: ChestBytes
) -> None:
    """A lost file raises an alarm and sets a mark; the row stays, because the file was acknowledged."""
    lose(store, intake, chest_bytes())
    assert reconcile(database, store, intake) == Reconciled(ingested=0, quarantined=0, removed=0, missing=1)
    with database.transaction() as session:
        assert session.scalars(select(Study.conflict)).one() == "instance-missing"


def test_mark_ends_when_the_file_is_here_again(
    database: Database, store: InstanceStore, intake: Intake, chest_bytes: ChestBytes
) -> None:
    """Once the file is restored from a backup or sent again, the next comparison ends the mark."""
    lose(store, intake, chest_bytes())
    reconcile(database, store, intake)
    put(store, chest_bytes())
    assert reconcile(database, store, intake) == Reconciled(ingested=0, quarantined=0, removed=0, missing=0)
    with database.transaction() as session:
        assert session.scalars(select(Study.conflict)).one() is None


def test_left_over_of_a_crash_is_removed(database: Database, store: InstanceStore, intake: Intake) -> None:
    """An unfinished file was never acknowledged."""
    leftover = store.path / "incoming" / "half"
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    assert reconcile(database, store, intake).removed == 1
    assert not leftover.exists()


def test_file_of_an_earlier_study_makes_no_job(
    database: Database, store: InstanceStore, intake: Intake, chest_bytes: ChestBytes
) -> None:
    """The file itself says that it was fetched: after a crash before its row it still makes no job."""
    head = part10_head(CR, "1.2.3.1.1", EXPLICIT, receiving_ae_title="ECHO_PRIORS")
    store.put((head, chest_bytes()))
    assert reconcile(database, store, intake).ingested == 1
    with database.transaction() as session:
        assert session.scalars(select(Instance.prior)).all() == [True]
        assert session.scalars(select(Job.id)).all() == []

"""From associations to completed studies, on both databases: each image counts once, in any order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Instance, Job, Study
from agent.foundation.settings.tree import ListenerSettings, Settings, StudySettings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from agent.receive.scp import StorageScp
from tests.integration.receive.peer import EXPLICIT, Listener, associate
from tests.support.films import bare_film

pytestmark = pytest.mark.integration
SETTINGS = Settings(studies=StudySettings(quiet_time_s=60, force_after_s=120))


@pytest.fixture
def listener(both_databases: Database, tmp_path: Path) -> Iterator[Listener]:
    """A running listener on either database."""
    settings = ListenerSettings(port=0)
    store = InstanceStore(tmp_path / "instances", 0)
    scp = StorageScp(settings, store, Intake(both_databases, SETTINGS.studies))
    running = Listener(
        scp=scp, store=store, database=both_databases, port=scp.start(), settings=settings, noted=[]
    )
    yield running
    running.close()


def image(study: int, number: int, **changes: Any) -> Dataset:
    """One image of one study."""
    values = {
        "StudyInstanceUID": f"1.2.3.{study}",
        "SeriesInstanceUID": f"1.2.3.{study}.{number}",
        "SOPInstanceUID": f"1.2.3.{study}.{number}.1",
        "PatientID": f"P{study}",
    }
    dataset = bare_film(**(values | changes))
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT
    return dataset


def send(listener: Listener, datasets: Sequence[Dataset], calling: str = "CR1") -> list[int]:
    """Send objects over one association, and return the statuses."""
    association = associate(listener, calling)
    assert association.is_established
    statuses = [int(association.send_c_store(dataset).Status) for dataset in datasets]
    association.release()
    return statuses


def complete(listener: Listener, after_s: float) -> list[tuple[str, str, str | None]]:
    """Complete what is due this many seconds from now; return study, state and reason."""
    with listener.database.reading() as session:
        now = database_now(session) + timedelta(seconds=after_s)
    done = complete_due_studies(listener.database, SETTINGS, listener.store, now)
    return sorted((one.study_instance_uid, one.state.value, one.reason) for one in done)


def rows(listener: Listener, table: Any) -> list[Any]:
    """All rows of a table."""
    with listener.database.reading() as session:
        return list(session.scalars(select(table).order_by(table.id)))


@pytest.mark.parametrize("seed", [1, 2])
def test_order_and_repetition_over_several_associations_change_nothing(listener: Listener, seed: int) -> None:
    """Three studies of three images, each sent twice and shuffled over four associations, complete once."""
    chance = Random(seed)
    objects = [image(study, number) for study in (1, 2, 3) for number in (1, 2, 3)] * 2
    chance.shuffle(objects)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda part=part: statuses.extend(send(listener, objects[part::4])))
        for part in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 18
    assert (len(rows(listener, Instance)), len(rows(listener, Job))) == (9, 3)
    assert {(one.revision, one.conflict) for one in rows(listener, Study)} == {(1, None)}
    reason = "3 image(s) accepted by rule 'chest-body-part'"
    assert complete(listener, 61) == [(f"1.2.3.{study}", "QUEUED", reason) for study in (1, 2, 3)]
    assert complete(listener, 200) == []


def test_late_image_makes_a_second_job_of_all_images(listener: Listener) -> None:
    """The queued job is superseded; the new revision is drafted from both images."""
    send(listener, [image(1, 1)])
    assert len(complete(listener, 61)) == 1
    send(listener, [image(1, 2), image(1, 1)], "CR2")
    assert complete(listener, 61) == [("1.2.3.1", "QUEUED", "2 image(s) accepted by rule 'chest-body-part'")]
    jobs = [(one.revision, one.state, one.code) for one in rows(listener, Job)]
    assert jobs == [(1, "CANCELED", "superseded"), (2, "QUEUED", None)]


def test_same_uid_with_other_bytes_keeps_both_and_takes_the_later(listener: Listener) -> None:
    """The later content counts; a corrected attribute leaves no conflict after completion."""
    send(listener, [image(1, 1, BodyPartExamined="HIP")])
    send(listener, [image(1, 1)], "CR2")
    assert complete(listener, 61) == [("1.2.3.1", "QUEUED", "1 image(s) accepted by rule 'chest-body-part'")]
    (study,) = rows(listener, Study)
    kept = {
        read_stored(listener.store.open(one.sha256)).body_part_examined for one in rows(listener, Instance)
    }
    assert (study.conflict, study.revision, kept) == (None, 2, {"HIP", "CHEST"})


def test_two_patients_with_one_accession_number_are_two_studies(listener: Listener) -> None:
    """Each is drafted for its own patient, although the numbers are equal and the images alternate."""
    send(
        listener,
        [image(study, number, AccessionNumber="A1") for number in (1, 2) for study in (1, 2)],
    )
    reason = "2 image(s) accepted by rule 'chest-body-part'"
    assert complete(listener, 61) == [("1.2.3.1", "QUEUED", reason), ("1.2.3.2", "QUEUED", reason)]
    found = [(one.patient_id, one.accession_number, one.conflict) for one in rows(listener, Study)]
    assert found == [("P1", "A1", None), ("P2", "A1", None)]


def test_two_patients_in_one_study_fail(listener: Listener) -> None:
    """A Study Instance UID with two patients is drafted for neither."""
    send(listener, [image(1, 1)])
    send(listener, [image(1, 2, PatientID="P9")], "CR2")
    assert [(uid, state) for uid, state, _ in complete(listener, 61)] == [("1.2.3.1", "FAILED")]


def test_association_that_never_ends_is_overruled_at_force_at(listener: Listener) -> None:
    """An open association holds its study until force_at; then it is queued as incomplete."""
    association = associate(listener)
    assert int(association.send_c_store(image(1, 1)).Status) == 0
    with listener.database.transaction() as session:
        job = session.scalars(select(Job)).one()
        job.due_at = database_now(session) + timedelta(hours=1)
    assert complete(listener, 60) == []
    assert [(uid, state) for uid, state, _ in complete(listener, 121)] == [("1.2.3.1", "QUEUED")]
    association.release()
    (job,) = rows(listener, Job)
    assert (job.state, job.incomplete) == ("QUEUED", True)

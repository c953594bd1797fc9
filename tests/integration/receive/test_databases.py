"""Rules of intake on both databases, including many senders at once."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from agent.database.session import Database
from agent.database.tables import Instance, Job, Quarantined, Study
from agent.foundation.settings.tree import StudySettings
from agent.network.contexts import CR_IMAGE
from agent.objects.header import Header
from agent.objects.store import StoredFile
from agent.receive.intake import Intake, IntakeOutcome
from tests.integration.receive.peer import EXPLICIT

pytestmark = pytest.mark.integration
IMAGE = Header(
    sop_class_uid=CR_IMAGE,
    sop_instance_uid="1.2.3.1.1",
    study_instance_uid="1.2.3",
    transfer_syntax_uid=EXPLICIT,
    modality="CR",
    patient_id="P1",
    patient_name="Ελληνικά^日本",
)


def file_of(content: str) -> StoredFile:
    """What the store returns for this content."""
    return StoredFile(sha256=hashlib.sha256(content.encode()).hexdigest(), size_bytes=1, new=True)


def together(count: int, work: object) -> list[BaseException]:
    """Run a function of a number in threads; return the errors raised."""
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - shown by the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_first_images_of_one_study_make_one_study_and_one_job(both_databases: Database) -> None:
    """Eight senders that begin the same study at the same moment agree on one row."""

    def sender(number: int) -> None:
        intake = Intake(both_databases, StudySettings())
        for image in range(4):
            uid = f"1.2.3.{number}.{image}"
            intake.receive(replace(IMAGE, sop_instance_uid=uid), file_of(uid), "CR1")

    assert together(8, sender) == []
    with both_databases.reading() as session:
        assert session.scalar(select(func.count()).select_from(Instance)) == 32
        assert session.scalars(select(Study.revision)).all() == [1]
        assert session.scalars(select(Job.state)).all() == ["RECEIVING"]


def test_same_object_from_everywhere_is_one_instance(both_databases: Database) -> None:
    """The same bytes from eight senders at once give one row, seven repeats and no error."""
    outcomes = []

    def sender(_number: int) -> None:
        outcomes.append(Intake(both_databases, StudySettings()).receive(IMAGE, file_of("x"), "CR1").outcome)

    assert together(8, sender) == []
    assert (outcomes.count(IntakeOutcome.NEW), outcomes.count(IntakeOutcome.DUPLICATE)) == (1, 7)


def test_changed_objects_make_one_revision_each(both_databases: Database) -> None:
    """Different bytes under one UID at once are all kept, and each revision has one job."""

    def sender(number: int) -> None:
        Intake(both_databases, StudySettings()).receive(IMAGE, file_of(f"content {number}"), "CR1")

    assert together(4, sender) == []
    with both_databases.reading() as session:
        assert sorted(session.scalars(select(Job.revision))) == [1, 2, 3, 4]
        assert sorted(session.scalars(select(Job.state))) == ["CANCELED"] * 3 + ["RECEIVING"]
        assert session.scalars(select(Study.conflict)).all() == ["instance-conflict"]


def test_text_of_every_script_is_kept(both_databases: Database) -> None:
    """A name is read back as it was sent."""
    Intake(both_databases, StudySettings()).receive(IMAGE, file_of("x"), "CR1")
    with both_databases.reading() as session:
        assert session.scalars(select(Study.patient_name)).one() == "Ελληνικά^日本"


def test_quarantine_is_idempotent_and_hold_works(both_databases: Database) -> None:
    """The statements that differ between the databases have the same effect."""
    intake = Intake(both_databases, StudySettings())
    for _ in range(2):
        intake.quarantine(file_of("bad"), "instance-unreadable", "CR1")
    intake.receive(IMAGE, file_of("x"), "CR1")
    with both_databases.reading() as session:
        before = session.scalars(select(Job.due_at)).one()
    intake.hold(["1.2.3"], 3600)
    with both_databases.reading() as session:
        after = session.scalars(select(Job.due_at)).one()
        assert session.scalar(select(func.count()).select_from(Quarantined)) == 1
    assert before is not None
    assert after is not None
    assert after > before

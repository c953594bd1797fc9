"""Rules of intake for earlier studies: they only make rows, whatever the order of arrival."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from agent.database.session import Database
from agent.database.tables import Instance, Job, JobEvent, Listing, Study
from agent.foundation.settings.tree import StudySettings
from agent.objects.header import Header
from agent.objects.store import StoredFile
from agent.receive.intake import Intake, IntakeOutcome, Receipt

IMAGE = Header(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    sop_instance_uid="1.2.3.1.1",
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CR",
    patient_id="P1",
    patient_name="DOE^JANE",
    patient_birth_date="19700101",
)
LATERAL = replace(IMAGE, sop_instance_uid="1.2.3.1.2")
Receive = Callable[..., Receipt]


@pytest.fixture
def receive(database: Database) -> Receive:
    """Enter an image, as an earlier study or not; its content is its UID and its route."""
    intake = Intake(database, StudySettings())

    def enter(header: Header, *, prior: bool, content: bytes | None = None) -> Receipt:
        body = content if content is not None else f"{header.sop_instance_uid} {prior}".encode()
        file = StoredFile(sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body), new=True)
        return intake.receive(header, file, "ARCHIVE" if prior else "CR_ROOM_1", prior=prior)

    return enter


def count(database: Database, table: Any) -> int:
    """How many rows a table has."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def the_study(database: Database) -> Study:
    """The one study."""
    with database.reading() as session:
        return session.scalars(select(Study)).one()


def test_prior_triggers_nothing(database: Database, receive: Receive) -> None:
    """An earlier study makes a row for itself and for each image: no job, no history, no list entry."""
    receive(IMAGE, prior=True)
    assert receive(LATERAL, prior=True) == Receipt(outcome=IntakeOutcome.NEW, revision=1)
    counts = [count(database, table) for table in (Study, Instance, Job, JobEvent, Listing)]
    assert (counts, the_study(database).prior) == ([1, 2, 0, 0, 0], True)


@pytest.mark.parametrize("late", [False, True])
def test_rejection_note_of_another_patient_is_no_conflict(
    database: Database, receive: Receive, *, late: bool
) -> None:
    """The images say whose study it is; a note may name the patient of a mistaken worklist entry."""
    note = replace(
        IMAGE,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.59",
        sop_instance_uid="1.2.3.9.1",
        modality="KO",
        document_title="113038",
        patient_id="P2",
        patient_name="ROE^RICHARD",
    )
    for header in (IMAGE, note) if late else (note, IMAGE):
        receive(header, prior=header is IMAGE)
    receive(LATERAL, prior=True)
    study = the_study(database)
    assert (study.prior, study.conflict, study.patient_id) == (True, None, "P1")


def test_prior_that_comes_twice_makes_no_second_row(database: Database, receive: Receive) -> None:
    """A repeat is a duplicate, even if the archive has changed its bytes meanwhile."""
    receive(IMAGE, prior=True)
    outcomes = [receive(IMAGE, prior=True, content=content).outcome for content in (None, b"coerced")]
    assert (outcomes, count(database, Instance), the_study(database).conflict) == (
        [IntakeOutcome.DUPLICATE, IntakeOutcome.DUPLICATE],
        1,
        None,
    )


def test_study_sent_after_it_was_a_prior_makes_a_job(database: Database, receive: Receive) -> None:
    """A study that was fetched before and is now auto-routed is a new study in every respect."""
    receive(replace(IMAGE, patient_id="OTHER", accession_number="OLD"), prior=True)
    assert receive(IMAGE, prior=False) == Receipt(outcome=IntakeOutcome.NEW, revision=1)
    study = the_study(database)
    assert (study.prior, study.conflict, study.patient_id) == (False, None, "P1")
    assert (study.accession_number, study.calling_ae_title) == ("", "CR_ROOM_1")
    with database.reading() as session:
        job = session.scalars(select(Job)).one()
        rows = session.execute(select(Instance.prior).order_by(Instance.id)).scalars().all()
    assert (job.state, job.revision, rows) == ("RECEIVING", 1, [True, False])


@pytest.mark.parametrize("content", [None, b"coerced by the archive"])
def test_prior_of_a_study_that_was_sent_changes_nothing(
    database: Database, receive: Receive, content: bytes | None
) -> None:
    """A study that is being received or was drafted is not changed by its own copy from the archive."""
    receive(IMAGE, prior=False)
    before = the_study(database)
    other = replace(IMAGE, patient_id="OTHER")
    assert receive(other, prior=True, content=content).outcome is IntakeOutcome.DUPLICATE
    after = the_study(database)
    assert (after.revision, after.conflict, after.last_received_at) == (1, None, before.last_received_at)
    assert (count(database, Job), count(database, Instance)) == (1, 1)


def test_prior_adds_to_a_study_that_was_sent_without_a_revision(database: Database, receive: Receive) -> None:
    """An image that only the archive has is only a comparison image: no revision, no other due time."""
    receive(IMAGE, prior=False)
    receive(replace(LATERAL, patient_id="OTHER"), prior=True)
    study = the_study(database)
    assert (study.revision, study.conflict, study.patient_id) == (1, None, "P1")
    assert (count(database, Job), count(database, Instance)) == (1, 2)


def test_two_patients_in_a_prior_are_a_conflict_until_it_is_sent(
    database: Database, receive: Receive
) -> None:
    """The mark keeps the earlier study from use; it ends when the study is sent."""
    receive(IMAGE, prior=True)
    assert receive(replace(LATERAL, patient_id="P2"), prior=True).conflict == "patient-conflict"
    assert receive(IMAGE, prior=False).conflict is None


def test_purged_prior_is_entered_again(database: Database, receive: Receive) -> None:
    """A purged study may be fetched again; its row shows that the file is back."""
    receive(IMAGE, prior=True)
    with database.transaction() as session:
        row = session.scalars(select(Instance)).one()
        row.purged_at = row.received_at
    receive(IMAGE, prior=True)
    with database.reading() as session:
        assert session.scalars(select(Instance.purged_at)).all() == [None]

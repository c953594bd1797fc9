"""Images rejected by a rejection note (IHE IOCM) are in no draft; drafts made from them are withdrawn."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from sqlalchemy import select, update

from agent.database.session import database_now
from agent.database.states import JobState
from agent.database.tables import AuditEvent, Document, Draft, Instance, Job, Study
from agent.drafting.worker import DraftingWorker
from agent.foundation.errors import NotFound
from agent.foundation.settings.tree import WorkerSettings
from agent.objects.header import read_stored
from agent.operations.skipped_words import read_skipped_words
from agent.queue.operator import resolve
from agent.reports.compose import algorithm_of
from agent.reports.earlier_studies import earlier_here, images_of
from agent.reports.notice import Notices
from agent.reports.withdraw import withdraw_due
from tests.support.course import StudyCourse
from tests.support.films import file_bytes
from tests.support.house import FakeReporter, House, identity, image
from tests.support.operator_context import operator_context_of
from tests.unit.agent.reports.test_withdraw import (
    OLD,
    SETTINGS,
    all_of,
    complete,
    drafted_and_sent,
    rejection,
    send,
    work,
)

FRONTAL, SECOND = "1.2.3.1.1.1", "1.2.3.1.1.2"


def evidence(document: Dataset) -> set[str]:
    """The images that a document references."""
    return {
        instance.ReferencedSOPInstanceUID
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def two_drafted(house: House, **second: object) -> None:
    """A study of two images, drafted and delivered to one of the two destinations."""
    house.receive(image(1, 1, **OLD))
    house.receive(image(1, 2, **(OLD | second)))
    complete(house)
    work(house)
    send(house, "pacs")


@pytest.mark.parametrize("title", ["113001", "113037", "113038"])
def test_rejection_of_one_image_withdraws_the_draft_and_drafts_the_rest(house: House, title: str) -> None:
    """The delivered draft is withdrawn with the reason; the next one references no rejected image."""
    two_drafted(house, ViewPosition="AP")
    house.receive(rejection(title, FRONTAL))
    complete(house)
    assert withdraw_due(house.database, SETTINGS) == 1
    *_, report, note = send(house, "pacs")
    assert "images of this report were rejected" in str(report.to_json())
    assert note.Modality == "KO"
    work(house)
    new = send(house, "pacs")
    assert [evidence(one) & {FRONTAL, SECOND} for one in new] == [{SECOND}] * 2
    assert not any("PredecessorDocumentsSequence" in one for one in new)
    assert sorted(map(str, all_of(house, Draft.withdrawal))) == ["None", "done"]


def test_rejection_that_leaves_no_chest_film_withdraws_the_draft(house: House) -> None:
    """If the rest of the study is not eligible, there is no next draft, and the old one is withdrawn."""
    two_drafted(house, BodyPartExamined="HAND")
    job_id = house.receive(rejection("113037", FRONTAL))
    complete(house)
    assert (house.job(job_id).state, withdraw_due(house.database, SETTINGS)) == ("SKIPPED", 1)
    assert {one.Modality for one in send(house, "pacs")} == {"SR", "KO"}


def test_rejection_of_an_image_that_no_draft_names_withdraws_nothing(house: House) -> None:
    """A note about an instance that never arrived withdraws nothing."""
    drafted_and_sent(house)
    house.receive(rejection("113037", "1.2.3.1.1.77"))
    complete(house)
    assert withdraw_due(house.database, SETTINGS) == 0


@pytest.mark.parametrize("when", ["drafting", "forced"])
def test_rejection_before_the_draft_is_written_leaves_no_draft(house: House, when: str) -> None:
    """Neither a worker that has read the image, nor an overdue job, drafts it."""
    job_id = house.receive(image(1, 1, **OLD))
    complete(house)
    note = rejection("113038", FRONTAL)
    reporter = FakeReporter()
    if when == "forced":
        with house.database.transaction() as session:
            session.execute(update(Job).values(incomplete=True))
        house.receive(note)
    else:
        reporter.before = lambda _study: house.receive(note) and None
    DraftingWorker(house.database, house.store, SETTINGS, reporter).run_once()  # type: ignore[arg-type]
    complete(house)
    work(house)
    assert (house.job(job_id).state, house.job(job_id).code) == ("CANCELED", "superseded")
    assert sorted(all_of(house, Job.state)) == ["CANCELED", "SKIPPED"]
    assert (all_of(house, Draft.id), all_of(house, Document.id)) == ([], [])


@pytest.mark.parametrize(("rejected", "withdrawn"), [((FRONTAL,), False), ((FRONTAL, SECOND), True)])
def test_rejection_leaves_a_verified_report_that_has_another_image(
    house: House, *, rejected: tuple[str, ...], withdrawn: bool
) -> None:
    """A signed report stands as long as one of its images does."""
    two_drafted(house, ViewPosition="LL")
    StudyCourse(house, SETTINGS).accept()
    send(house, "pacs")
    house.receive(rejection("113001", *rejected))
    complete(house)
    withdraw_due(house.database, SETTINGS)
    assert sorted(all_of(house, Draft.outcome)) == ["drafted", "verified"]
    assert all_of(house, Draft.withdrawal) == ["done" if withdrawn else None] * 2


def test_rejected_image_is_no_earlier_film_of_the_patient(house: House) -> None:
    """The viewer does not use it for comparison, and the note is not a film either."""
    two_drafted(house, ViewPosition="LL")
    house.receive(rejection("113038", FRONTAL))
    complete(house)
    with house.database.reading() as session:
        shown = [one.view_position for one in images_of(session, 1)]
        assert (shown, read_skipped_words(session, database_now(session))) == (["LL"], ())


def test_expired_retention_time_ends_no_draft_that_is_due(house: House) -> None:
    """With 113039 the images were correct, and nothing about them changes."""
    job_id = house.receive(image(1, 1, **OLD))
    complete(house)
    house.receive(rejection("113039", FRONTAL))
    assert JobState(house.job(job_id).state) is JobState.QUEUED
    work(house)
    assert all_of(house, Draft.withdrawal) == [None]


@pytest.mark.parametrize("early", [0, 1], ids=["before all images", "between two images"])
def test_image_that_arrives_after_its_rejection_is_in_no_draft(house: House, early: int) -> None:
    """Notes and images may take different routes through an archive."""
    images = [image(1, 2, **OLD), image(1, 1, **OLD)]
    for one in images[:early]:
        house.receive(one)
    enter(house, rejection("113001", FRONTAL))
    for one in images[early:]:
        house.receive(one)
    complete(house)
    work(house)
    sent = send(house, "pacs")
    assert [evidence(one) & {FRONTAL, SECOND} for one in sent] == [{SECOND}] * 2


def test_study_whose_only_image_was_rejected_before_it_came_is_not_drafted(house: House) -> None:
    """The study is drafted once its corrected content arrives."""
    assert enter(house, rejection("113037", FRONTAL)) == "early"
    assert enter(house, rejection("113037", FRONTAL)) == "duplicate"
    assert all_of(house, Job.id) == []
    job_id = house.receive(image(1, 1, **OLD))
    complete(house)
    assert (house.job(job_id).state, all_of(house, Draft.id)) == ("SKIPPED", [])
    assert house.job(job_id).reason == "every image was taken back by a rejection note"
    job_id = house.receive(image(1, 1, **(OLD | {"PatientID": "P1-CORRECTED"})))
    complete(house)
    work(house)
    assert house.job(job_id).state == "DRAFTED"


def test_rejection_note_alone_is_no_earlier_study(house: House) -> None:
    """There is no image of that study to compare with."""
    note = rejection("113001", FRONTAL)
    note.PatientID, note.StudyDate = "P2", "20200101"
    enter(house, note)
    house.receive(image(2, 1, StudyDate="20260101"))
    with house.database.reading() as session:
        (later,) = session.scalars(select(Study).where(Study.study_instance_uid == "1.2.3.2"))
        assert earlier_here(session, later, 3) == []


def test_early_rejection_note_is_audited_once(house: House) -> None:
    """It is audited like every received object, and counts for its sender."""
    for _ in range(2):
        enter(house, rejection("113001", FRONTAL))
    with house.database.reading() as session:
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "instances-received"))
        assert (event.actor, event.study_id) == ("MODALITY", 1)


def test_purged_rejection_note_leaves_the_study_complete(house: House) -> None:
    """If a note was purged before its images arrived, nothing is missing from the study itself."""
    enter(house, rejection("113001", FRONTAL))
    purge(house)
    job_id = house.receive(image(1, 2, **OLD))
    complete(house)
    assert (house.job(job_id).state, house.job(job_id).incomplete) == ("QUEUED", False)


def test_rejected_image_stays_rejected_when_its_note_is_purged(house: House) -> None:
    """The archive sends the whole study again, but no longer the note."""
    enter(house, rejection("113001", FRONTAL))
    house.receive(image(1, 1, **OLD))
    complete(house)
    purge(house)
    house.receive(image(1, 1, **OLD))
    house.receive(image(1, 2, **OLD, ViewPosition="LL"))
    complete(house)
    work(house)
    assert [evidence(one) & {FRONTAL, SECOND} for one in send(house, "pacs")] == [{SECOND}] * 2


def test_rejection_note_decides_no_patient_conflict(house: House) -> None:
    """A person chooses an image, and the study is then of that image's patient."""
    enter(house, rejection("113001", "1.2.3.1.1.3"))
    house.receive(image(1, 1, **OLD))
    house.receive(image(1, 2, **OLD | {"PatientID": "PB"}))
    context = operator_context_of(house.database, house.store, SETTINGS)
    with pytest.raises(NotFound):
        resolve(context, "1.2.3.1", "1.2.3.1.99", reason="typed", actor="cli:me")
    resolve(context, "1.2.3.1", SECOND, reason="typed", actor="cli:me")
    complete(house)
    assert all_of(house, Study.patient_id) == ["PB"]


def test_notice_names_the_patient_of_the_images(house: House) -> None:
    """The note was about a mistaken worklist entry, and arrived first."""
    note = rejection("113038", FRONTAL)
    note.PatientID, note.PatientName = "PB", "Beta^B"
    enter(house, note)
    job_id = house.receive(image(1, 2, **OLD | {"PixelData": b""}))
    house.to(job_id, JobState.FAILED, code="unreadable-image")
    settings = SETTINGS.model_copy(update={"worker": WorkerSettings(report_failed=True)})
    assert Notices(house.database, house.store, settings, algorithm_of(identity())).write_due() == 1
    findings, report = send(house, "pacs")
    assert (findings.PatientID, report.PatientID) == ("PA", "PA")
    assert evidence(findings) == {SECOND}


def purge(house: House) -> None:
    """Remove every file, as the retention rules do."""
    with house.database.transaction() as session:
        for row in session.scalars(select(Instance)):
            row.purged_at = database_now(session)
            house.store.discard(row.sha256)


def enter(house: House, note: Dataset) -> str:
    """Receive an object that may belong to no job; return its outcome."""
    file = house.store.put([file_bytes(note)])
    return house.intake.receive(read_stored(house.store.open(file.sha256)), file, "MODALITY").outcome

"""Rules of intake: duplicates, changed instances, late images, and two patients in one study."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Document, Draft, Instance, Job, JobEvent, Quarantined, Study
from agent.foundation.settings.tree import StudySettings
from agent.objects.header import HIGH_PRIORITY, STAT_PRIORITY, Header
from agent.objects.store import StoredFile
from agent.queue.states import move
from agent.receive.intake import Intake, IntakeOutcome, Receipt

SETTINGS = StudySettings(quiet_time_s=60, stat_quiet_time_s=10, force_after_s=1800)
IMAGE = Header(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    sop_instance_uid="1.2.3.1.1",
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CR",
    body_part_examined="CHEST",
    patient_id="P1",
    patient_name="DOE^JANE",
    patient_birth_date="19700101",
)
LATERAL = replace(IMAGE, sop_instance_uid="1.2.3.1.2")
Send = Callable[..., Receipt]


def file_of(content: bytes) -> StoredFile:
    """What the store reports about this content."""
    return StoredFile(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), new=True)


@pytest.fixture
def send(database: Database) -> Send:
    """Send an image; its content is its UID unless content is given."""
    intake = Intake(database, SETTINGS)

    def receive(header: Header, content: bytes | None = None) -> Receipt:
        body = header.sop_instance_uid.encode() if content is None else content
        return intake.receive(header, file_of(body), "CR_ROOM_1")

    return receive


def jobs(database: Database) -> list[Job]:
    """All jobs, the oldest first."""
    with database.transaction() as session:
        return list(session.scalars(select(Job).order_by(Job.id)))


def study(database: Database) -> Study:
    """The one study."""
    with database.transaction() as session:
        return session.scalars(select(Study)).one()


def put_in_state(database: Database, *states: JobState, **values: Any) -> None:
    """Take the newest job through the states."""
    with database.transaction() as session:
        job = session.scalars(select(Job).order_by(Job.id.desc()).limit(1)).one()
        for state in states:
            move(session, job, state, now=database_now(session), admitted=state is JobState.QUEUED)
        for name, value in values.items():
            setattr(job, name, value)


def test_first_image_makes_study_instance_and_job(database: Database, send: Send) -> None:
    """One transaction enters all three; the job waits for the quiet time."""
    assert send(IMAGE) == Receipt(outcome=IntakeOutcome.NEW, revision=1)
    (job,) = jobs(database)
    assert (job.state, job.revision, job.priority) == ("RECEIVING", 1, 50)
    assert job.due_at is not None
    assert job.force_at is not None
    assert job.due_at - job.created_at == timedelta(seconds=60)
    assert job.force_at - job.created_at == timedelta(seconds=1800)
    assert (study(database).patient_id, study(database).calling_ae_title) == ("P1", "CR_ROOM_1")
    with database.transaction() as session:
        instance = session.scalars(select(Instance)).one()
        assert (instance.sop_instance_uid, instance.body_part_examined) == ("1.2.3.1.1", "CHEST")
        assert [event.to_state for event in session.scalars(select(JobEvent))] == ["RECEIVING"]


def test_next_image_puts_the_due_time_off(database: Database, send: Send) -> None:
    """The quiet time counts from the last image, `force_at` from the first."""
    send(IMAGE)
    (before,) = jobs(database)
    send(LATERAL)
    (after,) = jobs(database)
    assert after.due_at is not None
    assert before.due_at is not None
    assert after.due_at > before.due_at
    assert after.force_at == before.force_at


def test_identical_repeat_makes_no_work(database: Database, send: Send) -> None:
    """Identical bytes change nothing, not even the due time."""
    send(IMAGE)
    put_in_state(database, JobState.QUEUED)
    (before,) = jobs(database)
    assert send(IMAGE).outcome is IntakeOutcome.DUPLICATE
    (after,) = jobs(database)
    assert (after.state, after.due_at, study(database).revision) == ("QUEUED", before.due_at, 1)


def test_changed_instance_is_kept_flagged_and_makes_a_revision(database: Database, send: Send) -> None:
    """One SOP Instance with two contents makes two rows, a conflict, and revision 2."""
    send(IMAGE, b"first")
    assert send(IMAGE, b"second") == Receipt(
        outcome=IntakeOutcome.CHANGED, revision=2, conflict="instance-conflict"
    )
    assert [(job.revision, job.state, job.code) for job in jobs(database)] == [
        (1, "CANCELED", "superseded"),
        (2, "RECEIVING", None),
    ]
    with database.transaction() as session:
        assert [one.revision for one in session.scalars(select(Instance).order_by(Instance.id))] == [1, 2]


def test_late_image_takes_a_queued_job_back(database: Database, send: Send) -> None:
    """A job that no worker has taken is superseded; the new one keeps its `force_at`."""
    send(IMAGE)
    put_in_state(database, JobState.QUEUED)
    assert send(LATERAL).revision == 2
    first, second = jobs(database)
    assert (first.state, first.code, second.state, second.revision) == (
        "CANCELED",
        "superseded",
        "RECEIVING",
        2,
    )
    assert second.force_at == first.force_at


def test_late_image_leaves_a_forced_job_queued(database: Database, send: Send) -> None:
    """A trickle of images cannot delay the draft of a study that has waited long enough."""
    send(IMAGE)
    put_in_state(database, JobState.QUEUED, incomplete=True)
    send(LATERAL)
    assert [(job.revision, job.state) for job in jobs(database)] == [(1, "QUEUED"), (2, "RECEIVING")]


@pytest.mark.parametrize(
    "states",
    [
        (JobState.QUEUED, JobState.GENERATING),
        (JobState.QUEUED, JobState.GENERATING, JobState.DRAFTED),
        (JobState.QUEUED, JobState.GENERATING, JobState.DRAFTED, JobState.DELIVERING, JobState.DELIVERED),
        (JobState.SKIPPED,),
        (JobState.FAILED,),
        (JobState.CANCELED,),
    ],
)
def test_late_image_after_the_queue_makes_a_revision(
    database: Database, send: Send, states: tuple[JobState, ...]
) -> None:
    """A job that was taken, drafted or ended stays as it is; the late image gets its own job."""
    send(IMAGE)
    put_in_state(database, *states)
    assert send(LATERAL).revision == 2
    assert [(job.revision, job.state) for job in jobs(database)] == [
        (1, states[-1].value),
        (2, "RECEIVING"),
    ]


@pytest.mark.parametrize(
    ("changes", "conflict"),
    [
        ({"patient_id": "P2"}, "patient-conflict"),
        ({"patient_birth_date": "19700102"}, "patient-conflict"),
        ({"patient_id": "", "patient_name": "ROE^JOHN"}, "patient-conflict"),
        ({"patient_name": "DOE^JANE^MARY"}, None),
        ({"patient_id": "", "patient_name": "Doe^Jane^"}, None),
        ({"patient_id": "", "patient_name": "", "patient_birth_date": ""}, None),
        ({"issuer_of_patient_id": "HOSPITAL"}, None),
    ],
)
def test_two_patients_in_one_study_are_a_conflict(
    database: Database, send: Send, changes: dict[str, str], conflict: str | None
) -> None:
    """An identifier that is in both images but differs means another patient; a missing one does not."""
    send(IMAGE)
    assert send(replace(LATERAL, **changes)).conflict == conflict  # type: ignore[arg-type]
    assert study(database).patient_id == "P1"


def test_patient_conflict_outlives_later_images(database: Database, send: Send) -> None:
    """Only a person resolves the conflict; a changed instance does not hide it."""
    send(IMAGE)
    send(replace(LATERAL, patient_id="P2"))
    assert send(IMAGE, b"other").conflict == "patient-conflict"


def test_two_patients_with_one_accession_number_stay_apart(database: Database, send: Send) -> None:
    """A study is identified by its UID: two studies with the same accession number are not joined."""
    send(replace(IMAGE, accession_number="A1"))
    send(
        replace(
            LATERAL, study_instance_uid="1.2.4", patient_id="P2", patient_name="ROE^R", accession_number="A1"
        )
    )
    with database.transaction() as session:
        studies = session.scalars(select(Study).order_by(Study.id)).all()
    assert [(one.patient_id, one.conflict) for one in studies] == [("P1", None), ("P2", None)]


def test_later_image_fills_what_the_first_left_empty(database: Database, send: Send) -> None:
    """Each attribute of a study comes from the first image that has it."""
    send(replace(IMAGE, accession_number="", patient_name=""))
    send(replace(LATERAL, accession_number="A7"))
    assert (study(database).accession_number, study(database).patient_name) == ("A7", "DOE^JANE")


def test_stat_shortens_the_quiet_time_and_comes_first(database: Database, send: Send) -> None:
    """One STAT image makes the study STAT, whatever images came before or after it."""
    send(IMAGE)
    send(replace(LATERAL, priority=STAT_PRIORITY))
    send(replace(IMAGE, sop_instance_uid="1.2.3.1.3", priority=HIGH_PRIORITY))
    (job,) = jobs(database)
    assert job.priority == STAT_PRIORITY
    assert job.due_at is not None
    assert job.due_at - job.updated_at == timedelta(seconds=10)


def test_our_own_document_is_dropped(database: Database, send: Send) -> None:
    """An object with the UID of one of our documents is not entered (loop guard)."""
    send(IMAGE)
    with database.transaction() as session:
        draft = Draft(
            study_id=1,
            job_id=1,
            revision=1,
            model_digest="m",
            model_name="m",
            demonstration=True,
            text="",
            content={},
            created_at=database_now(session),
        )
        session.add(draft)
        session.flush()
        session.add(
            Document(
                draft_id=draft.id,
                role="report",
                variant="basic_text",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
                sop_instance_uid="2.25.7",
                series_instance_uid="2.25.8",
                sha256="0",
                content=b"",
            )
        )
    returned = replace(IMAGE, sop_instance_uid="2.25.7", study_instance_uid="1.2.9")
    assert send(returned) == Receipt(outcome=IntakeOutcome.OURS, revision=0)
    assert study(database).study_instance_uid == "1.2.3"


def test_hold_puts_off_receiving_studies_only_forward(database: Database, send: Send) -> None:
    """A hold moves the due time of a study in RECEIVING, only forward, and changes nothing else."""
    send(IMAGE)
    (before,) = jobs(database)
    intake = Intake(database, SETTINGS)
    intake.hold(["1.2.3", "9.9"], 1)
    assert jobs(database)[0].due_at == before.due_at
    intake.hold(["1.2.3"], 300)
    (held,) = jobs(database)
    assert held.due_at is not None
    assert before.due_at is not None
    assert held.due_at > before.due_at
    put_in_state(database, JobState.QUEUED)
    intake.hold(["1.2.3"], 600)
    assert jobs(database)[0].due_at == held.due_at


def test_quarantine_enters_the_same_bytes_once(database: Database) -> None:
    """A sender that repeats a broken object adds only one row."""
    intake = Intake(database, SETTINGS)
    for _ in range(2):
        intake.quarantine(file_of(b"bad"), "instance-unreadable", "A_TITLE_OF_MORE_THAN_16")
    with database.transaction() as session:
        row = session.scalars(select(Quarantined)).one()
    assert (row.code, row.calling_ae_title, row.size_bytes) == ("instance-unreadable", "A_TITLE_OF_MORE_", 3)


def test_concurrent_images_of_one_study_lose_nothing(database: Database, send: Send) -> None:
    """Eight associations that send one study make one study, one job and all its instances."""
    errors: list[Exception] = []

    def sender(number: int) -> None:
        try:
            for image in range(5):
                send(replace(IMAGE, sop_instance_uid=f"1.2.3.{number}.{image}"))
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.transaction() as session:
        assert len(session.scalars(select(Instance)).all()) == 40
    assert len(jobs(database)) == 1

"""Drafts of old studies are kept and not delivered, unless the settings say so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import func, select

from agent.database.backfill import BackfillStudy
from agent.database.session import database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Delivery, Document, Draft, Job, Listing
from agent.database.workitems import Workitem
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.foundation.settings.kinds import DOCUMENTS
from agent.foundation.settings.tree import BackfillSettings, DestinationSettings, Settings, WorkerSettings
from agent.objects.header import read_stored
from agent.queue.lanes import set_priority
from agent.receive.complete_study import complete_due_studies
from agent.reports.compose import algorithm_of
from agent.reports.notice import Notices
from agent.ris.ups.projection import Projection
from agent.ris.ups.wording import Station
from tests.support.films import file_bytes
from tests.support.house import House, identity
from tests.unit.agent.retrieve.backfill.test_claims import found

Film = Callable[..., Dataset]
# One of every kind, requesting every document that it can request.
EVERY_KIND = (
    DestinationSettings(name="dicom", host="127.0.0.1", commitment=True, rejection_notes=True),
    DestinationSettings(name="basic", host="127.0.0.1", findings_sop_class="enhanced"),
    DestinationSettings(name="views", host="127.0.0.1", documents=DOCUMENTS["dicom"]),
    DestinationSettings(name="stow", stow_url="http://127.0.0.1:8042/dicom-web"),
    DestinationSettings(name="ris", kind="hl7", host="127.0.0.1", port=2575),
    DestinationSettings(
        name="emr", kind="fhir", fhir=FhirDestinationSettings(url="http://127.0.0.1:8080/fhir")
    ),
)


def settings_with(*, deliver: bool, **values: Any) -> Settings:
    return Settings(destinations=EVERY_KIND, backfill=BackfillSettings(deliver=deliver), **values)


def receive(house: House, film: Dataset, lane: Lane | None = Lane.BACKFILL) -> int:
    """Receive an image from the backfill or from a current sender; return its study's newest job."""
    file = house.store.put([file_bytes(film)])
    header = read_stored(house.store.open(file.sha256))
    house.intake.receive(header, file, "PACS", lane=lane)
    with house.database.reading() as session:
        return session.scalars(select(Job.id).order_by(Job.id.desc()).limit(1)).one()


def draft_all(house: House, settings: Settings, reporter: Any) -> None:
    DraftingWorker(house.database, house.store, settings, reporter, owner="w", chance=Random(1)).run_once()


def count(house: House, table: Any) -> int:
    with house.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_every_kind_of_destination_is_tried() -> None:
    """A new kind in the settings must be added here."""
    assert {one.kind for one in EVERY_KIND} == set(DOCUMENTS)


def test_draft_of_an_old_study_is_kept_and_goes_nowhere(house: House, reporter: Any, film: Film) -> None:
    """No document, message, delivery, workitem or list entry; the draft is kept for the signed report."""
    settings = settings_with(deliver=False)
    job_id = receive(house, film(1))
    house.to(job_id, JobState.QUEUED)
    draft_all(house, settings, reporter)
    Projection(house.database, Station(ae_title="ECHO_AGENT", name="ECHO Agent")).tick()
    assert [count(house, table) for table in (Document, Delivery, Listing, Workitem)] == [0, 0, 0, 0]
    with house.database.reading() as session:
        draft = session.scalars(select(Draft)).one()
    job = house.job(job_id)
    assert (draft.shadow, job.state, job.code) == (True, "DRAFTED", "shadow")
    assert "pneumothorax" in draft.text


def test_draft_of_an_old_study_is_delivered_where_the_settings_say_so(
    house: House, reporter: Any, film: Film
) -> None:
    """With `backfill.deliver` every destination gets the documents that it requests."""
    settings = settings_with(deliver=True)
    house.to(receive(house, film(1)), JobState.QUEUED)
    draft_all(house, settings, reporter)
    with house.database.reading() as session:
        served = set(session.scalars(select(Delivery.destination)))
    assert served == {one.name for one in EVERY_KIND}
    assert count(house, Listing) == 1


@pytest.mark.parametrize("state", [JobState.SKIPPED, JobState.FAILED, JobState.DEAD])
def test_old_study_without_a_draft_is_told_to_nobody(house: House, film: Film, state: JobState) -> None:
    """A notice that a study has no draft is kept like a draft."""
    settings = settings_with(deliver=False, worker=WorkerSettings(report_skipped=True, report_failed=True))
    job_id = receive(house, film(1))
    for before in (JobState.QUEUED, JobState.GENERATING) if state is JobState.DEAD else ():
        house.to(job_id, before)
    house.to(job_id, state, code="image-unreadable")
    assert Notices(house.database, house.store, settings, algorithm_of(identity())).write_due() == 1
    assert [count(house, table) for table in (Document, Delivery, Listing)] == [0, 0, 0]


def test_old_study_that_is_urgent_now_is_delivered(house: House, reporter: Any, film: Film) -> None:
    """A person or an order that requests it at once moves it to another lane, and its draft is sent."""
    job_id = receive(house, film(1))
    house.to(job_id, JobState.QUEUED)
    with house.database.transaction() as session:
        set_priority(session.get_one(Job, job_id), 0)
    draft_all(house, settings_with(deliver=False), reporter)
    assert count(house, Listing) == 1


@pytest.mark.parametrize("state", [JobState.RECEIVING, JobState.QUEUED])
def test_old_study_that_is_sent_before_its_draft_is_drafted_for_its_sender(
    house: House, film: Film, state: JobState
) -> None:
    """The images are already stored, so the job itself changes its lane; no second job is made."""
    job_id = receive(house, film(1))
    if state is not JobState.RECEIVING:
        house.to(job_id, state)
    assert receive(house, film(1), lane=None) == job_id
    assert (house.job(job_id).lane, count(house, Job)) == ("routine", 1)


def test_old_study_that_is_sent_after_its_draft_is_drafted_again_and_delivered(
    house: House, reporter: Any, film: Film
) -> None:
    """The sender does not wait for a kept draft; one new revision contains all images, whichever are sent."""
    settings = settings_with(deliver=False)
    for number in (1, 2):
        job_id = receive(house, film(1, number))
    house.to(job_id, JobState.QUEUED)
    draft_all(house, settings, reporter)
    for number in (1, 2):
        again = receive(house, film(1, number), lane=None)
    assert again != job_id
    job = house.job(again)
    assert (job.lane, job.revision, job.state, count(house, Job)) == ("routine", 2, "RECEIVING", 2)
    house.to(again, JobState.QUEUED)
    draft_all(house, settings, reporter)
    assert count(house, Listing) == 1
    assert count(house, Delivery) > 0


def test_repeat_by_the_backfill_itself_changes_nothing(house: House, reporter: Any, film: Film) -> None:
    """An interrupted retrieval is repeated: neither lane nor revision changes."""
    job_id = receive(house, film(1))
    assert receive(house, film(1)) == job_id
    house.to(job_id, JobState.QUEUED)
    draft_all(house, settings_with(deliver=False), reporter)
    assert receive(house, film(1)) == job_id
    assert (house.job(job_id).lane, count(house, Job)) == ("backfill", 1)


def test_delivered_old_study_that_is_sent_again_is_not_drafted_twice(
    house: House, reporter: Any, film: Film
) -> None:
    """With `backfill.deliver` its draft has been delivered already."""
    job_id = receive(house, film(1))
    house.to(job_id, JobState.QUEUED)
    draft_all(house, settings_with(deliver=True), reporter)
    assert receive(house, film(1), lane=None) == job_id


def test_old_study_waits_for_no_quiet_time_of_its_sender(house: House, film: Film) -> None:
    """A changed lane does not put the study off beyond the next minutes."""
    job_id = receive(house, film(1))
    before = house.job(job_id).due_at
    receive(house, film(1), lane=None)
    with house.database.reading() as session:
        now = database_now(session)
    after = house.job(job_id).due_at
    assert before is not None
    assert after is not None
    assert before <= after <= now + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("state", "attempts", "completed"),
    [
        ("PULLING", 1, []),
        ("FOUND", 1, []),  # between two attempts
        ("FOUND", 0, [False]),  # not retrieved yet: a sender's images were assigned to the backfill
        ("PULLED", 1, [False]),
        ("DEAD", 5, [True]),
        ("DROPPED", 1, [True]),
    ],
)
def test_part_of_an_old_study_waits_for_the_rest_and_is_marked_when_none_comes(
    house: House, film: Film, state: str, attempts: int, completed: list[bool]
) -> None:
    """It is drafted once its retrieval has ended; as incomplete if the retrieval was given up."""
    settings = settings_with(deliver=False)
    dataset = film(1)
    job_id = receive(house, dataset)
    found(house.database, 1)
    with house.database.transaction() as session:
        row = session.scalars(select(BackfillStudy)).one()
        row.study_instance_uid, row.state, row.attempts = dataset.StudyInstanceUID, state, attempts
        session.get_one(Job, job_id).due_at = database_now(session) - timedelta(seconds=1)
    done = complete_due_studies(house.database, settings, house.store)
    assert [one.state for one in done] == [JobState.QUEUED] * len(completed)
    assert [house.job(one.job_id).incomplete for one in done] == completed

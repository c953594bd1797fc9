"""From a queued job to a draft with documents and deliveries, and every way in which that can fail."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update

from agent.db.session import Database
from agent.db.tables import Delivery, Document, Draft, Job, JobEvent
from agent.errors import DatabaseUnavailable, NetworkFailed
from agent.materials import gather
from agent.queue import jobs
from agent.settings import DestinationSettings, ModelSettings, Settings, WorkerSettings
from agent.worker import Worker
from model.errors import OutOfMemoryError, PromptError

Film = Callable[..., Dataset]
ELSEWHERE = DestinationSettings(name="far", host="192.0.2.1", port=104, ae_title="FAR")


def worker(house: Any, settings: Settings, reporter: Any, owner: str = "w1") -> Worker:
    """A worker."""
    return Worker(house.database, house.store, settings, reporter, owner=owner, chance=Random(1))


def rows(database: Database, table: Any) -> list[Any]:
    """All rows of a table, in order."""
    with database.transaction() as session:
        return list(session.scalars(select(table).order_by(table.id)))


def test_worker_writes_draft_documents_and_deliveries(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """One transaction holds the draft, both documents, a delivery of each, and the job's step."""
    job_id = house.queued(film(1, 1), film(1, 2, ViewPosition="LL"))
    assert worker(house, settings, reporter).run_once() == 1
    job = house.job(job_id)
    assert (job.state, job.attempts, job.lease_token) == ("DRAFTED", 1, None)
    (draft,) = rows(house.database, Draft)
    assert draft.text.startswith("Findings: There is a")
    assert (draft.outcome, draft.urgency, draft.content["flags"]) == ("drafted", 5, [])
    assert 0.0 <= draft.waited_s < 300.0
    assert draft.delivered_s is None
    assert [one.role for one in rows(house.database, Document)] == ["findings", "report"]
    found = [(one.destination, one.state, one.priority) for one in rows(house.database, Delivery)]
    assert found == [("pacs", "PENDING", 5), ("pacs", "PENDING", 5)]
    events = [(event.from_state, event.to_state) for event in rows(house.database, JobEvent)]
    assert events[-2:] == [("QUEUED", "GENERATING"), ("GENERATING", "DRAFTED")]


def test_worker_shows_the_network_frontal_then_lateral(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """The newest frontal and the newest lateral image, in this order, with the indication."""
    house.queued(
        film(1, 1, ViewPosition="LL"),
        film(1, 2, AcquisitionDate="20260101", AcquisitionTime="1200", ReasonForStudy="Cough"),
        film(1, 3, AcquisitionDate="20260101", AcquisitionTime="1205"),
    )
    worker(house, settings, reporter).run_once()
    (study,) = reporter.asked
    assert [str(one.header.SOPInstanceUID) for one in study.images] == ["1.2.3.1.1.3", "1.2.3.1.1.1"]
    assert [one.view for one in study.images] == ["frontal", "lateral"]
    assert study.context.indication == ""


def test_worker_flags_what_the_reader_must_know(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A missing lateral and an incomplete study are said in the documents' Summary."""
    job_id = house.queued(film(1))
    with house.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(incomplete=True))
    worker(house, settings, reporter).run_once()
    (draft,) = rows(house.database, Draft)
    assert [flag["code"] for flag in draft.content["flags"]] == ["missing_lateral", "incomplete_study"]
    assert b"no lateral view" in rows(house.database, Document)[1].content


def test_worker_without_destination_ends_drafted(house: Any, reporter: Any, film: Film) -> None:
    """A job with nowhere to go has a draft, and that is its end."""
    job_id = house.queued(film(1))
    worker(house, Settings(), reporter).run_once()
    assert house.job(job_id).state == "DRAFTED"
    assert rows(house.database, Delivery) == []


def test_worker_builds_one_pair_for_each_sop_class(house: Any, reporter: Any, film: Film) -> None:
    """Destinations of one SOP class share a pair; each other class has its own, with its own UIDs."""
    destinations = [
        DestinationSettings(name=f"d{index}", host="127.0.0.1", port=1, ae_title="X", findings_sop_class=kind)
        for index, kind in enumerate(("comprehensive3d", "enhanced", "comprehensive3d"))
    ]
    house.queued(film(1))
    worker(house, Settings(destinations=tuple(destinations)), reporter).run_once()
    documents = rows(house.database, Document)
    assert [one.variant for one in documents] == ["comprehensive3d"] * 2 + ["enhanced"] * 2
    assert len({one.sop_instance_uid for one in documents}) == 4
    sent = [(one.destination, one.document_id) for one in rows(house.database, Delivery)]
    assert sent == [("d0", 1), ("d0", 2), ("d1", 3), ("d1", 4), ("d2", 1), ("d2", 2)]


def test_worker_revision_names_its_predecessor(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A late image makes a new draft whose documents replace the first ones."""
    house.queued(film(1, 1))
    worker(house, settings, reporter).run_once()
    house.queued(film(1, 2, ViewPosition="LL"))
    worker(house, settings, reporter).run_once()
    first, _report, second, _other = rows(house.database, Document)
    named = dcmread(io.BytesIO(second.content)).PredecessorDocumentsSequence[0]
    uid = named.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == first.sop_instance_uid
    assert [draft.revision for draft in rows(house.database, Draft)] == [1, 2]


def test_worker_unreadable_image_fails_visibly(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A study whose image cannot be decoded is FAILED at once, and the others are drafted."""
    bad, good = house.queued(film(1, BitsStored=4, HighBit=2)), house.queued(film(2))
    assert worker(house, settings, reporter).run_once() == 2
    assert (house.job(bad).state, house.job(bad).code) == ("FAILED", "image-unreadable")
    assert "CANARY" not in str(house.job(bad).reason)
    assert house.job(good).state == "DRAFTED"


def test_worker_missing_file_fails_visibly(house: Any, settings: Settings, reporter: Any, film: Film) -> None:
    """A row without its file is an alarm, not a crash."""
    job_id = house.queued(film(1))
    for path in house.store.path.rglob("*.dcm"):
        path.unlink()
    worker(house, settings, reporter).run_once()
    assert (house.job(job_id).state, house.job(job_id).code) == ("FAILED", "instance-missing")


def test_worker_model_failure_is_tried_again_then_dead(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A retryable error waits in the queue; when the attempts are used up, the job is DEAD."""

    def out_of_memory(_study: object) -> None:
        raise OutOfMemoryError

    reporter.before = out_of_memory
    job_id = house.queued(film(1))
    for expected in ("QUEUED", "QUEUED", "DEAD"):
        with house.database.transaction() as session:
            session.execute(update(Job).values(run_after=Job.created_at))
        worker(house, settings, reporter).run_once()
        assert house.job(job_id).state == expected
    assert (house.job(job_id).attempts, house.job(job_id).code) == (3, "out_of_memory")


def of(study: Any) -> str:
    """The Study Instance UID of what the network is shown."""
    return str(study.images[0].header.StudyInstanceUID)


@pytest.mark.parametrize(
    ("error", "state"), [(PromptError("no"), "FAILED"), (ZeroDivisionError("no"), "QUEUED")]
)
def test_worker_poison_study_takes_no_other_along(
    house: Any, settings: Settings, reporter: Any, film: Film, error: Exception, state: str
) -> None:
    """One study's own error, and one that breaks the whole stream, are both that study's alone."""

    def refuse_the_second(study: Any) -> None:
        if of(study) == "1.2.3.2":
            raise error

    reporter.before = refuse_the_second
    ids = [house.queued(film(number)) for number in (1, 2, 3)]
    worker(house, settings, reporter).run_once()
    assert [house.job(job_id).state for job_id in ids] == ["DRAFTED", state, "DRAFTED"]


def test_worker_with_a_broken_network_ends_and_spares_the_queue(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """After three failures in a row it is not the studies: the rest goes back without an attempt."""

    def break_down(_study: object) -> None:
        raise ZeroDivisionError

    reporter.before = break_down
    ids = [house.queued(film(number)) for number in range(1, 5)]
    with pytest.raises(NetworkFailed):
        worker(house, settings, reporter).run_once()
    assert [house.job(job_id).state for job_id in ids] == ["QUEUED"] * 4
    assert sorted(house.job(job_id).attempts for job_id in ids) == [0, 0, 1, 1]


def test_worker_never_mixes_studies_whatever_is_done_first(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """Each job gets the draft of its own pixels, whatever the order in which the network is done."""
    chance = Random(7)
    reporter.choose = lambda hand: chance.randrange(len(hand))
    reporter.slots = 5
    bright = {number: chance.random() < 0.5 for number in range(1, 21)}
    ids = {
        number: house.queued(film(number, PixelData=(b"\xff" * (900 if white else 124)).ljust(1024, b"\0")))
        for number, white in bright.items()
    }
    mine = worker(house, settings.model_copy(update={"worker": WorkerSettings(slots=20)}), reporter)
    assert mine.run_once() + mine.run_once() == 20
    assert [of(study) for study in reporter.asked] != [f"1.2.3.{number}" for number in sorted(bright)]
    drafts = {draft.job_id: draft for draft in rows(house.database, Draft)}
    documents = {one.draft_id: one for one in rows(house.database, Document) if one.role == "findings"}
    for number, job_id in ids.items():
        written = dcmread(io.BytesIO(documents[drafts[job_id].id].content))
        side = "left" if bright[number] else "right"
        assert side in drafts[job_id].text
        assert (written.StudyInstanceUID, written.PatientID) == (f"1.2.3.{number}", f"P{number}")


def test_worker_refuses_to_write_under_another_study(
    house: Any, settings: Settings, reporter: Any, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the images another study's than the job's, nothing is written: the last look before it is."""
    house.queued(film(1))
    wrong = gather(house.database, house.store, settings.eligibility, *jobs.claim(house.database, "x", 60, 1))
    job_id = house.queued(film(2))
    monkeypatch.setattr("agent.worker.gather", lambda *_arguments: wrong)
    worker(house, settings, reporter).run_once()
    assert (house.job(job_id).state, house.job(job_id).code) == ("FAILED", "study-mixed-up")
    assert rows(house.database, Draft) == []


def test_worker_foreign_exception_keeps_only_its_type(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A library's message may quote the patient, so that only the exception's name is stored."""

    def explode(_study: object) -> None:
        raise ZeroDivisionError("CANARY^PATIENT")

    reporter.before = explode
    job_id = house.queued(film(1))
    worker(house, settings, reporter).run_once()
    job = house.job(job_id)
    assert (job.state, job.code) == ("QUEUED", "unexpected")
    assert "ZeroDivisionError" in str(job.reason)
    assert "CANARY" not in str(job.reason)


def test_worker_that_lost_its_lease_writes_nothing(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """Another worker took the job over while the network ran: this result is discarded."""
    job_id = house.queued(film(1))

    def lose_the_lease(_study: object) -> None:
        with house.database.transaction() as session:
            session.execute(update(Job).values(lease_until=Job.created_at))
        jobs.reclaim_expired(house.database)
        with house.database.transaction() as session:
            session.execute(update(Job).values(run_after=Job.created_at))
        assert len(jobs.claim(house.database, "w2", 60, 1)) == 1

    reporter.before = lose_the_lease
    worker(house, settings, reporter).run_once()
    assert rows(house.database, Draft) == []
    assert (house.job(job_id).state, house.job(job_id).lease_owner) == ("GENERATING", "w2")


def test_worker_demonstration_model_stays_on_this_machine(
    house: Any, demonstration_reporter: Any, settings: Settings, film: Film
) -> None:
    """To a destination elsewhere the delivery is DEAD from the start; the draft and the near one stay."""
    both = settings.model_copy(update={"destinations": (*settings.destinations, ELSEWHERE)})
    house.queued(film(1))
    worker(house, both, demonstration_reporter).run_once()
    found = [(one.destination, one.state, one.code) for one in rows(house.database, Delivery)]
    refused = ("far", "DEAD", "demonstration-model-refused")
    assert found == [("pacs", "PENDING", None)] * 2 + [refused] * 2
    assert len(rows(house.database, Draft)) == 1


def test_worker_demonstration_model_with_only_far_destinations_is_dead(
    house: Any, demonstration_reporter: Any, film: Film
) -> None:
    """When every delivery is refused the job says so itself."""
    job_id = house.queued(film(1))
    worker(house, Settings(destinations=(ELSEWHERE,)), demonstration_reporter).run_once()
    assert (house.job(job_id).state, house.job(job_id).code) == ("DEAD", "demonstration-model-refused")


def test_worker_demonstration_model_may_leave_when_allowed(
    house: Any, demonstration_reporter: Any, film: Film
) -> None:
    """`model.allow_demonstration` is the administrator's word."""
    house.queued(film(1))
    allowed = Settings(destinations=(ELSEWHERE,), model=ModelSettings(allow_demonstration=True))
    worker(house, allowed, demonstration_reporter).run_once()
    assert {one.state for one in rows(house.database, Delivery)} == {"PENDING"}


def test_worker_urgent_jobs_come_first(house: Any, settings: Settings, reporter: Any, film: Film) -> None:
    """A STAT study overtakes the ones that wait."""
    one_slot = settings.model_copy(update={"worker": WorkerSettings(slots=1)})
    routine = house.queued(film(1))
    stat = house.queued(film(2, RequestedProcedurePriority="STAT"))
    worker(house, one_slot, reporter).run_once()
    assert (house.job(stat).state, house.job(routine).state) == ("DRAFTED", "QUEUED")


def test_worker_heartbeat_outlives_a_blocked_network(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A model call longer than the lease does not lose it: the heartbeat has a thread of its own."""
    short = settings.model_copy(update={"worker": WorkerSettings(lease_s=0.3)})

    def block(_study: object) -> None:
        end = time.monotonic() + 0.9
        while time.monotonic() < end:
            sum(range(1000))

    reporter.before = block
    job_id = house.queued(film(1))
    taken_by_other: list[object] = []
    done = threading.Event()

    def other_worker() -> None:
        while not done.wait(0.05):
            taken_by_other.extend(jobs.claim(house.database, "w2", 60, 1))

    thread = threading.Thread(target=other_worker)
    mine = worker(house, short, reporter)
    reporter.before = lambda study: (thread.start(), block(study))  # type: ignore[func-returns-value]
    mine.run_once()
    done.set()
    thread.join()
    assert taken_by_other == []
    assert house.job(job_id).state == "DRAFTED"


def test_worker_run_finishes_what_is_in_hand_and_gives_back_the_rest(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """Asked to stop, the network's studies are drafted, and no job stays leased or loses an attempt."""
    two_slots = settings.model_copy(update={"worker": WorkerSettings(slots=2, poll_s=0.05)})
    ids = [house.queued(film(number)) for number in range(1, 9)]
    stop = threading.Event()
    reporter.slots = 2

    def stop_after_four(_study: object) -> None:
        if len(reporter.asked) == 4:
            stop.set()

    reporter.before = stop_after_four
    worker(house, two_slots, reporter).run(stop)
    found = [house.job(job_id) for job_id in ids]
    states = [job.state for job in found]
    assert set(states) == {"DRAFTED", "QUEUED"}
    assert 5 <= states.count("DRAFTED") == len(reporter.asked) <= 7
    assert {job.attempts for job in found if job.state == "QUEUED"} == {0}
    assert all(job.lease_token is None for job in found)


def test_worker_writes_each_draft_when_it_is_done(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A study that takes long keeps no other one's draft back."""
    ids = [house.queued(film(number)) for number in (1, 2, 3)]
    states: list[str] = []
    reporter.choose = lambda hand: len(hand) - 1 if len(hand) > 1 else 0

    def look_before_the_last(_study: object) -> None:
        if len(reporter.asked) == 2:
            end = time.monotonic() + 60
            while sorted(states) != ["DRAFTED", "DRAFTED", "GENERATING"] and time.monotonic() < end:
                states[:] = [house.job(job_id).state for job_id in ids]

    reporter.before = look_before_the_last
    worker(house, settings, reporter).run_once()
    assert sorted(states) == ["DRAFTED", "DRAFTED", "GENERATING"]
    assert {house.job(job_id).state for job_id in ids} == {"DRAFTED"}


def test_worker_takes_no_more_jobs_than_it_has_room_for(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """What waits stays in the queue for other workers: slots, and half as many made ready."""
    four_slots = settings.model_copy(update={"worker": WorkerSettings(slots=4, poll_s=0.05)})
    for number in range(1, 21):
        house.queued(film(number))
    held: list[int] = []
    stop = threading.Event()

    def count(_study: object) -> None:
        with house.database.reading() as session:
            states = list(session.scalars(select(Job.state)))
        held.append(states.count("GENERATING"))
        if len(held) == 12:
            stop.set()

    reporter.before = count
    worker(house, four_slots, reporter).run(stop)
    # Those that are done count too until they are written.
    assert max(held) <= 4 + 2 + 2 * 4


def test_worker_outlives_an_outage_of_the_database(
    house: Any, settings: Settings, reporter: Any, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away nothing is lost: leases run out, and the same jobs are drafted once."""
    short = WorkerSettings(slots=2, poll_s=0.05, lease_s=0.3, maximum_attempts=20)
    ids = [house.queued(film(number)) for number in (1, 2, 3)]
    healthy, answers = Database.transaction, iter([False] * 4)

    def away(database: Database) -> Any:
        if not next(answers, True):
            raise DatabaseUnavailable("away")
        return healthy(database)

    reporter.before = lambda _study: monkeypatch.setattr(Database, "transaction", away)
    stop = threading.Event()
    quick = settings.model_copy(update={"worker": short})
    thread = threading.Thread(target=worker(house, quick, reporter).run, args=(stop,))
    thread.start()
    end = time.monotonic() + 60
    while [house.job(job_id).state for job_id in ids] != ["DRAFTED"] * 3:
        assert time.monotonic() < end
        time.sleep(0.1)
        with house.database.relaxed() as session:
            session.execute(update(Job).where(Job.state == "QUEUED").values(run_after=Job.created_at))
    stop.set()
    thread.join()
    assert len(rows(house.database, Draft)) == 3


def test_worker_empty_queue_is_no_work(house: Any, settings: Settings, reporter: Any) -> None:
    """Nothing queued, nothing taken."""
    assert worker(house, settings, reporter).run_once() == 0

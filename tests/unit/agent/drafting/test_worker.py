"""From a queued job to a draft with documents and deliveries."""

from __future__ import annotations

import io
from typing import Any

from pydicom import dcmread
from sqlalchemy import update

from agent.database.tables import Delivery, Document, Draft, Job, JobEvent
from agent.foundation.settings.tree import DestinationSettings, ModelSettings, Settings, WorkerSettings
from tests.unit.agent.drafting.workers import Film, rows, worker

ELSEWHERE = DestinationSettings(name="far", host="192.0.2.1", port=104, ae_title="FAR")


def test_worker_writes_draft_documents_and_deliveries(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """The worker writes the draft, both documents, a delivery of each, and the job's steps."""
    job_id = house.queued(film(1, 1), film(1, 2, ViewPosition="LL"))
    assert worker(house, settings, reporter).run_once() == 1
    job = house.job(job_id)
    assert (job.state, job.attempts, job.lease_token) == ("DRAFTED", 1, None)
    (draft,) = rows(house.database, Draft)
    assert draft.text.startswith("Findings: There is a")
    assert (
        draft.outcome,
        draft.urgency,
        [flag["code"] for flag in draft.content["flags"]],
    ) == ("drafted", 5, ["low_confidence"])
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
    """The newest frontal and the newest lateral image, in this order, with the indication of these alone."""
    house.queued(
        film(1, 1, ViewPosition="LL"),
        film(1, 2, AcquisitionDate="20260101", AcquisitionTime="1200", ReasonForStudy="Fever"),
        film(1, 3, AcquisitionDate="20260101", AcquisitionTime="1205", ReasonForStudy="Cough"),
    )
    worker(house, settings, reporter).run_once()
    (study,) = reporter.asked
    assert [str(one.header.SOPInstanceUID) for one in study.images] == ["1.2.3.1.1.3", "1.2.3.1.1.1"]
    assert [one.view for one in study.images] == ["frontal", "lateral"]
    assert study.context.indication == "Cough"
    assert not any(b"Fever" in one.content for one in rows(house.database, Document))


def test_worker_flags_what_the_reader_must_know(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A missing lateral view and an incomplete study are flagged."""
    job_id = house.queued(film(1))
    with house.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(incomplete=True))
    worker(house, settings, reporter).run_once()
    (draft,) = rows(house.database, Draft)
    codes = [flag["code"] for flag in draft.content["flags"]]
    assert codes == ["low_confidence", "missing_lateral", "incomplete_study"]
    assert b"no lateral view" in rows(house.database, Document)[1].content


def test_worker_without_destination_ends_drafted(house: Any, reporter: Any, film: Film) -> None:
    """A job without a destination ends with its draft."""
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
    """A late image makes a new draft whose documents name the first ones as predecessors."""
    house.queued(film(1, 1))
    worker(house, settings, reporter).run_once()
    house.queued(film(1, 2, ViewPosition="LL"))
    worker(house, settings, reporter).run_once()
    first, _report, second, _other = rows(house.database, Document)
    named = dcmread(io.BytesIO(second.content)).PredecessorDocumentsSequence[0]
    uid = named.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == first.sop_instance_uid
    assert [draft.revision for draft in rows(house.database, Draft)] == [1, 2]


def test_worker_demonstration_model_stays_on_this_machine(
    house: Any, demonstration_reporter: Any, settings: Settings, film: Film
) -> None:
    """The delivery to another machine is DEAD from the start; the draft and the local delivery stay."""
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
    """If every delivery is refused, the job itself is DEAD."""
    job_id = house.queued(film(1))
    worker(house, Settings(destinations=(ELSEWHERE,)), demonstration_reporter).run_once()
    assert (house.job(job_id).state, house.job(job_id).code) == ("DEAD", "demonstration-model-refused")


def test_worker_demonstration_model_may_leave_when_allowed(
    house: Any, demonstration_reporter: Any, film: Film
) -> None:
    """`model.allow_demonstration` permits delivery to other machines."""
    house.queued(film(1))
    allowed = Settings(destinations=(ELSEWHERE,), model=ModelSettings(allow_demonstration=True))
    worker(house, allowed, demonstration_reporter).run_once()
    assert {one.state for one in rows(house.database, Delivery)} == {"PENDING"}


def test_worker_urgent_jobs_come_first(house: Any, settings: Settings, reporter: Any, film: Film) -> None:
    """A STAT study overtakes waiting studies."""
    one_slot = settings.model_copy(update={"worker": WorkerSettings(slots=1)})
    routine = house.queued(film(1))
    stat = house.queued(film(2, RequestedProcedurePriority="STAT"))
    worker(house, one_slot, reporter).run_once()
    assert (house.job(stat).state, house.job(routine).state) == ("DRAFTED", "QUEUED")


def test_worker_empty_queue_is_no_work(house: Any, settings: Settings, reporter: Any) -> None:
    """With an empty queue the worker takes nothing."""
    assert worker(house, settings, reporter).run_once() == 0

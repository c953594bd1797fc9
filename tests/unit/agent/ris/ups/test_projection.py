"""Our drafts as workitems: each follows its job, and a final workitem never changes."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select, update

from agent.database.session import Database, database_now
from agent.database.states import REJECTED, JobState
from agent.database.tables import Instance, Job, Study, Workitem
from agent.database.workitems import UpsEvent
from agent.objects.rejection_note import NOTE_CLASS
from agent.ris.ups.manager import Manager
from agent.ris.ups.projection import Projection
from agent.ris.ups.records import as_dataset
from agent.ris.ups.requirements import creation_shortcoming, final_shortcoming
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION, StepState
from agent.ris.ups.wording import Station
from tests.unit.agent.rows import add_draft, add_job, add_study

STATION = Station(ae_title="ECHO_AGENT", name="ECHO Agent")


class House:
    """A database with one study's job, and its projection."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.projection = Projection(database, STATION, ["READER"], {"pacs": "PACS"})
        self.manager = Manager(database, reachable=["READER"])
        self.manager.subscribe(str(GLOBAL_SUBSCRIPTION), "READER")
        with database.transaction() as session:
            now = database_now(session)
            study = add_study(session, "1.2.3", at=now)
            study.patient_id, study.patient_name = "P1", "Doe^Jane"
            self.job_id = add_job(session, study, "RECEIVING", at=now).id

    def go(self, state: str, **values: Any) -> None:
        """Bring the job into a state, and update its workitem."""
        with self.database.transaction() as session:
            job = session.get_one(Job, self.job_id)
            job.state, job.updated_at = state, database_now(session)
            for name, value in values.items():
                setattr(job, name, value)
        self.projection.tick()

    def items(self) -> list[Workitem]:
        """Return the job's workitems, in order."""
        with self.database.reading() as session:
            return list(session.scalars(select(Workitem).order_by(Workitem.id)))

    def content(self) -> Dataset:
        """Return the newest workitem's attributes."""
        return as_dataset(self.items()[-1].content)

    def receive(self, uid: str, **values: Any) -> None:
        """Add an image of the study."""
        given = {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1", "series_instance_uid": "1.2.3.0", **values}
        with self.database.transaction() as session:
            session.add(
                Instance(
                    study_id=session.scalars(select(Study.id)).one(),
                    sop_instance_uid=uid,
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    sha256="0" * 64,
                    size_bytes=1,
                    received_at=database_now(session),
                    **given,
                )
            )

    def inputs(self) -> list[str]:
        """Return the images that the newest workitem names as its input."""
        return [
            str(one.ReferencedSOPInstanceUID)
            for source in self.content().InputInformationSequence
            for one in source.ReferencedSOPSequence
        ]

    def told(self) -> list[str]:
        """Return the state that each event reported."""
        with self.database.reading() as session:
            events = session.scalars(select(UpsEvent).where(UpsEvent.event_type == 1).order_by(UpsEvent.id))
            return [str(as_dataset(one.content).ProcedureStepState) for one in events]


@pytest.fixture
def house(database: Database) -> House:
    """A study that is being received."""
    made = House(database)
    made.projection.tick()
    return made


def test_workitem_of_a_draft_has_every_required_attribute(house: House) -> None:
    """Workitems that we create meet the requirements that we check in those of others."""
    content = house.content()
    content.TransactionUID = ""
    assert creation_shortcoming(content) is None
    assert (str(content.PatientID), str(content.InputReadinessState)) == ("P1", "INCOMPLETE")


def test_waiting_workitem_lists_the_images_that_have_come(house: House) -> None:
    """Images that arrive after the workitem are inputs; a rejection note and what it takes back are not."""
    house.receive("1.2.3.1")
    house.receive("1.2.3.2")
    house.go("RECEIVING")
    assert house.inputs() == ["1.2.3.1", "1.2.3.2"]
    house.receive("1.2.3.3")
    house.receive("1.2.3.9", sop_class_uid=NOTE_CLASS)
    with house.database.transaction() as session:
        session.execute(
            update(Instance).where(Instance.sop_instance_uid == "1.2.3.1").values(skipped_by=REJECTED)
        )
    house.go("QUEUED")
    assert house.inputs() == ["1.2.3.2", "1.2.3.3"]


def test_inputs_of_a_draft_that_has_begun_stay(house: House) -> None:
    """An image that arrives between two ticks is an input; one that arrives later is another revision's."""
    house.go("QUEUED")
    house.receive("1.2.3.1")
    house.go("GENERATING", lease_token="12345678-1234-5678-1234-567812345678", lease_owner="worker@1")
    assert house.inputs() == ["1.2.3.1"]
    house.receive("1.2.3.2")
    house.go("GENERATING")
    assert house.inputs() == ["1.2.3.1"]


def test_waiting_workitem_names_the_patient_s_present_identifier(house: House) -> None:
    """After a merge the worklist is searched by the surviving identifier."""
    house.go("QUEUED")
    with house.database.transaction() as session:
        study = session.scalars(select(Study)).one()
        study.patient_id, study.issuer_of_patient_id, study.patient_name = "P2", "HOSPITAL", "Roe^Jane"
    house.go("QUEUED")
    content = house.content()
    assert [str(content[name].value) for name in ("PatientID", "IssuerOfPatientID", "PatientName")] == [
        "P2",
        "HOSPITAL",
        "Roe^Jane",
    ]


def test_tick_leaves_jobs_alone_that_wait_unchanged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands may wait: their rows are not locked with every tick, because workers would pass over them."""
    house.go("QUEUED")
    looked: list[int] = []
    follow = Projection._follow
    monkeypatch.setattr(
        Projection,
        "_follow",
        lambda self, session, job_id: looked.append(job_id) or follow(self, session, job_id),
    )
    house.projection.tick()
    assert looked == []
    house.go("QUEUED", priority=0)
    assert looked == [house.job_id]
    assert str(house.content().ScheduledProcedureStepPriority) == "HIGH"


def test_workitem_follows_its_job_to_the_end(house: House) -> None:
    """Scheduled, in progress with its progress, completed with its output."""
    house.go("QUEUED")
    assert str(house.content().InputReadinessState) == "READY"
    token = "12345678-1234-5678-1234-567812345678"
    house.go("GENERATING", lease_token=token, lease_owner="worker@1")
    item = house.items()[-1]
    assert (item.state, item.performer) == ("IN PROGRESS", "worker@1")
    assert item.transaction_uid == f"2.25.{int(token.replace('-', ''), 16)}"
    with house.database.transaction() as session:
        job = session.get_one(Job, house.job_id)
        add_draft(session, job, at=database_now(session), stored_after_s=1)
    house.go("DELIVERED", lease_token=None)
    content = house.content()
    assert final_shortcoming(content, StepState.COMPLETED) is None
    output = content.UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence
    assert len(output) == 1
    assert len(output[0].ReferencedSOPSequence) == 1
    assert house.told() == ["SCHEDULED", "SCHEDULED", "IN PROGRESS", "COMPLETED"]


def test_steps_that_a_tick_missed_are_reported(house: House) -> None:
    """A final state is reached from SCHEDULED only through IN PROGRESS."""
    house.go("SKIPPED", code="not-eligible")
    assert house.told() == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
    assert final_shortcoming(house.content(), StepState.CANCELED) is None


@pytest.mark.parametrize("ended", ["DEAD", "CANCELED", "FAILED", "SKIPPED", "DELIVERED"])
def test_a_job_that_goes_on_gets_a_new_workitem(house: House, ended: str) -> None:
    """A final workitem stays as it is; the next one references it."""
    house.go(ended)
    before = house.items()[0].content
    house.go("QUEUED" if ended != "DELIVERED" else "DELIVERING")
    items = house.items()
    assert [one.generation for one in items] == [1, 2]
    assert items[0].content == before
    replaced = as_dataset(items[1].content).ReplacedProcedureStepSequence[0]
    assert str(replaced.ReferencedSOPInstanceUID) == items[0].uid


def test_lost_lease_cancels_the_claim_and_schedules_again(house: House) -> None:
    """The standard has no transition from IN PROGRESS back to SCHEDULED."""
    house.go("GENERATING", lease_token="12345678-1234-5678-1234-567812345678")
    house.go("QUEUED", lease_token=None)
    assert [one.state for one in house.items()] == ["CANCELED", "SCHEDULED"]


@pytest.mark.parametrize("state", sorted(JobState))
def test_every_state_of_a_job_has_a_workitem(house: House, state: str) -> None:
    """There is at least one, and a second tick changes nothing."""
    house.go(state)
    before = [(one.state, one.content) for one in house.items()]
    assert before
    assert house.projection.tick() == 0
    assert [(one.state, one.content) for one in house.items()] == before


def test_priority_goes_both_ways(house: House) -> None:
    """HIGH over UPS moves the job forward; a priority given to the job shows in its workitem."""
    house.go("QUEUED")
    changes = Dataset()
    changes.ScheduledProcedureStepPriority = "HIGH"
    assert house.manager.update(house.items()[0].uid, changes).status == 0
    with house.database.reading() as session:
        assert session.get_one(Job, house.job_id).priority == 0
    with house.database.transaction() as session:
        session.get_one(Job, house.job_id).priority = 100
    house.projection.tick()
    assert str(house.content().ScheduledProcedureStepPriority) == "LOW"


@pytest.mark.parametrize(
    ("state", "status", "after"),
    [("QUEUED", 0, "CANCELED"), ("GENERATING", 0, "CANCELED"), ("DELIVERED", 0xC311, "DELIVERED")],
)
def test_cancel_request_stops_the_draft(house: House, state: str, status: int, after: str) -> None:
    """Before and during drafting the job is cancelled; afterwards there is nothing to cancel."""
    house.go(state, lease_token="12345678-1234-5678-1234-567812345678" if state == "GENERATING" else None)
    assert house.manager.request_cancel(house.items()[0].uid, Dataset(), "READER").status == status
    with house.database.reading() as session:
        assert session.get_one(Job, house.job_id).state == after
    house.projection.tick()
    assert house.items()[0].state == ("CANCELED" if after == "CANCELED" else "COMPLETED")


def test_nobody_else_may_claim_our_draft(house: House) -> None:
    """The workitem is assigned to this station."""
    house.go("QUEUED")
    reply = house.manager.change_state(house.items()[0].uid, "IN PROGRESS", "2.25.9")
    assert (f"{reply.status:04X}", house.items()[0].state) == ("0124", "SCHEDULED")


def test_projection_leaves_studies_in_shadow_out(database: Database) -> None:
    """A sender in shadow has no workitem; a draft in shadow only because of the model ends as CANCELED."""
    house = House(database)
    house.projection = Projection(database, STATION, in_shadow=lambda title: True)
    house.go("GENERATING")
    assert house.items() == []
    house.projection = Projection(database, STATION)
    house.go("GENERATING")
    house.go("DRAFTED", code="shadow")
    assert [one.state for one in house.items()] == ["CANCELED"]

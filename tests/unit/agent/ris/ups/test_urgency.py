"""A reader moves a draft to the front or cancels it, whatever the draft's state."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Job, Workitem
from agent.queue import jobs
from agent.ris.ups.manager import Manager
from agent.ris.ups.projection import Projection
from agent.ris.ups.records import as_dataset
from agent.ris.ups.wording import Station
from tests.unit.agent.rows import add_job, add_study

STATION = Station(ae_title="ECHO_AGENT", name="ECHO Agent")


def waiting(database: Database, count: int) -> list[str]:
    """Queue studies; return the UIDs of their workitems in order of arrival."""
    with database.transaction() as session:
        now = database_now(session)
        for number in range(count):
            add_job(session, add_study(session, f"1.2.{number + 1}", at=now), "QUEUED", at=now)
    Projection(database, STATION).tick()
    with database.reading() as session:
        return list(session.scalars(select(Workitem.uid).order_by(Workitem.job_id)))


def with_priority(priority: str) -> Dataset:
    """Return a data set that changes (0074,1200)."""
    changes = Dataset()
    changes.ScheduledProcedureStepPriority = priority
    return changes


def taken(database: Database) -> list[str]:
    """Let a worker take the queued jobs; return the studies in the order in which it took them."""
    found = []
    while claims := jobs.claim(database, "w", 60.0, 1):
        found += [claim.study_instance_uid for claim in claims]
    return found


def test_priority_over_ups_reorders_the_queue(database: Database) -> None:
    """HIGH overtakes, LOW is overtaken; the worker takes them in that order, and the list shows it."""
    uids = waiting(database, 4)
    manager = Manager(database)
    assert manager.update(uids[2], with_priority("HIGH")).status == 0
    assert manager.update(uids[0], with_priority("LOW")).status == 0
    listed = [one["00080018"]["Value"][0] for one in manager.find(Dataset(), whole=True)]
    assert listed == [uids[2], uids[1], uids[3], uids[0]]
    assert taken(database) == ["1.2.3", "1.2.2", "1.2.4", "1.2.1"]


def test_escalation_inside_the_agent_shows_in_the_workitem(database: Database) -> None:
    """After a job's priority has become STAT, (0074,1200) becomes HIGH, and the search lists it first."""
    uids = waiting(database, 2)
    with database.transaction() as session:
        session.scalars(select(Job).order_by(Job.id.desc())).first().priority = 0  # type: ignore[union-attr]
    Projection(database, STATION).tick()
    with database.reading() as session:
        content = session.scalar(select(Workitem.content).where(Workitem.uid == uids[1]))
    assert as_dataset(content).ScheduledProcedureStepPriority == "HIGH"
    listed = [one["00080018"]["Value"][0] for one in Manager(database).find(Dataset(), whole=True)]
    assert listed == [uids[1], uids[0]]


@pytest.mark.parametrize(
    ("state", "status", "after"),
    [
        ("RECEIVING", 0x0000, "CANCELED"),
        ("QUEUED", 0x0000, "CANCELED"),
        ("GENERATING", 0x0000, "CANCELED"),
        ("DRAFTED", 0x0000, "CANCELED"),
        ("DELIVERED", 0xC311, "COMPLETED"),
        ("FAILED", 0xB304, "CANCELED"),
        ("CANCELED", 0xB304, "CANCELED"),
    ],
)
def test_cancel_before_during_and_after_drafting(
    database: Database, state: str, status: int, after: str
) -> None:
    """A draft that has not been sent is stopped; one that has ended is unchanged, and the answer says so."""
    with database.transaction() as session:
        now = database_now(session)
        job = add_job(session, add_study(session, "1.2.3", at=now), state, at=now)
        if state == "GENERATING":
            job.lease_token, job.lease_owner = "12345678-1234-5678-1234-567812345678", "w"
    projection = Projection(database, STATION)
    projection.tick()
    with database.reading() as session:
        uid = session.scalars(select(Workitem.uid)).one()
    reply = Manager(database).request_cancel(uid, Dataset(), "READER")
    projection.tick()
    with database.reading() as session:
        found = session.scalars(select(Workitem.state).order_by(Workitem.id)).all()
    assert (f"{reply.status:04X}", found) == (f"{status:04X}", [after])

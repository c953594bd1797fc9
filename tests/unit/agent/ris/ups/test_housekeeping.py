"""A claim without any report is ended, and its work is offered again; final workitems are deleted later."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from agent.database.session import Database, database_now
from agent.database.workitems import Workitem
from agent.foundation.settings.ups import UpsSettings
from agent.ris.ups.housekeeping import WorkitemHousekeeper
from agent.ris.ups.manager import Manager
from agent.ris.ups.records import as_dataset
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION, StepState
from tests.support.ups import outcome, scheduled

UID, MINE = "2.25.9700.1", "2.25.71"


def aged(database: Database, hours: float) -> None:
    """Make the workitems older by this many hours."""
    with database.transaction() as session:
        then = database_now(session) - timedelta(hours=hours)
        session.execute(update(Workitem).values(touched_at=then))
        session.execute(update(Workitem).where(Workitem.final_at.is_not(None)).values(final_at=then))


def rows(database: Database) -> list[Workitem]:
    """Return the workitems, in order."""
    with database.reading() as session:
        return list(session.scalars(select(Workitem).order_by(Workitem.id)))


def test_silent_claim_is_canceled_and_offered_again(database: Database) -> None:
    """No transition leads back: CANCELED with its reason, and a new workitem that references the old one."""
    manager = Manager(database)
    manager.create(UID, scheduled(ScheduledProcedureStepPriority="HIGH"))
    manager.change_state(UID, "IN PROGRESS", MINE)
    housekeeper = WorkitemHousekeeper(database, UpsSettings(claim_silent_h=2))
    aged(database, 1.9)
    assert housekeeper.tick() == (0, 0)
    aged(database, 2.1)
    assert housekeeper.tick() == (0, 1)
    old, new = rows(database)
    assert (old.state, new.state, new.urgency) == ("CANCELED", "SCHEDULED", 0)
    said = as_dataset(old.content).ProcedureStepProgressInformationSequence[0]
    assert "no longer reports" in said.ReasonForCancellation
    replaced = as_dataset(new.content).ReplacedProcedureStepSequence[0]
    assert replaced.ReferencedSOPInstanceUID == UID
    assert f"{manager.change_state(UID, 'COMPLETED', MINE).status:04X}" == "C300"
    assert manager.change_state(new.uid, "IN PROGRESS", "2.25.72").status == 0


def test_claim_that_reports_progress_is_left_alone(database: Database) -> None:
    """Every report of the performer renews the claim."""
    manager = Manager(database)
    manager.create(UID, scheduled())
    manager.change_state(UID, "IN PROGRESS", MINE)
    aged(database, 30)
    manager.update(UID, outcome(StepState.COMPLETED), transaction_uid=MINE)
    assert WorkitemHousekeeper(database, UpsSettings()).tick() == (0, 0)


def test_final_workitem_stays_a_day_and_as_long_as_somebody_locks_it(database: Database) -> None:
    """24 h at least (IHE AIW-I); a deletion lock holds it until its subscriber releases it."""
    manager = Manager(database, reachable=["READER"])
    manager.create(UID, scheduled())
    manager.subscribe(str(GLOBAL_SUBSCRIPTION), "READER", deletion_lock=True)
    manager.change_state(UID, "IN PROGRESS", MINE)
    manager.update(UID, outcome(StepState.COMPLETED), transaction_uid=MINE)
    manager.change_state(UID, "COMPLETED", MINE)
    housekeeper = WorkitemHousekeeper(database, UpsSettings())
    aged(database, 25)
    assert housekeeper.tick() == (0, 0)
    manager.unsubscribe(UID, "READER")
    aged(database, 23)
    assert housekeeper.tick() == (0, 0)
    aged(database, 25)
    assert housekeeper.tick() == (1, 0)

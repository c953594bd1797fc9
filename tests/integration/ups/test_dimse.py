"""The worklist over DIMSE, with pynetdicom as the client."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pynetdicom import AE
from sqlalchemy import select

from agent.database.session import Database
from agent.database.workitems import Workitem
from agent.ris.ups.manager import Manager
from agent.ris.ups.reporting import EventReporter
from agent.ris.ups.requirements import CREATED_PRESENT, CREATED_WITH_VALUE
from agent.ris.ups.scu import RemoteManager
from agent.ris.ups.subscriptions import receivers
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION, PUSH, StepState
from tests.support.ups import CANCEL_TABLE, CHANGE_TABLE, Cell, outcome, scheduled
from tests.support.ups_peer import peer, subscriber

MINE, OTHER = "2.25.11", "2.25.12"


def bring_to(manager: Manager, state: StepState | None, uid: str) -> None:
    """Create a workitem and bring it into a state; None creates none."""
    if state is None:
        return
    assert manager.create(uid, scheduled()).status == 0
    if state is StepState.SCHEDULED:
        return
    assert manager.change_state(uid, "IN PROGRESS", MINE).status == 0
    if state.final:
        assert manager.update(uid, outcome(state), transaction_uid=MINE).status == 0
        assert manager.change_state(uid, state.value, MINE).status == 0


def state_of(manager: Manager, uid: str) -> StepState | None:
    """Return a workitem's state, or None if it does not exist."""
    found = manager.get(uid).dataset
    return None if found is None else StepState(found.ProcedureStepState)


@pytest.mark.parametrize("cell", [*CHANGE_TABLE, *CANCEL_TABLE], ids=str)
def test_every_cell_of_the_state_table(manager: Manager, remote: RemoteManager, uid: str, cell: Cell) -> None:
    """Each cell gives the status on the wire and the state that follows."""
    bring_to(manager, cell.present, uid)
    if cell.present is StepState.IN_PROGRESS and cell.requested.final and not cell.cancel_request:
        assert remote.update(uid, outcome(cell.requested), MINE) == 0
    if cell.cancel_request:
        status = remote.request_cancel(uid, Dataset())
    else:
        claimed = cell.present not in (None, StepState.SCHEDULED)
        given = {"right": MINE, "wrong": OTHER if claimed else "", "none": ""}[cell.transaction]
        status = remote.change_state(uid, cell.requested, given)
    assert (f"{cell.status:04X}", cell.after) == (f"{status:04X}", state_of(manager, uid))


def test_create_names_each_attribute_that_is_missing(port: int) -> None:
    """Type 1 and 2 attributes are each missing once, type 1 also empty once; type 2 may be empty."""
    ae = AE(ae_title="TESTER")
    ae.add_requested_context(PUSH)
    association = ae.associate("127.0.0.1", port, ae_title="ECHO_UPS")
    try:
        for keyword in CREATED_WITH_VALUE:
            item = scheduled(**{keyword: None})
            status, _ = association.send_n_create(item, PUSH, "1.2.9")
            assert (status.Status, keyword in status.ErrorComment) == (0x0120, True)
            status, _ = association.send_n_create(scheduled(**{keyword: ""}), PUSH, "1.2.9")
            assert (status.Status, keyword in status.ErrorComment) == (0x0121, True)
        for keyword in CREATED_PRESENT:
            status, _ = association.send_n_create(scheduled(**{keyword: None}), PUSH, "1.2.9")
            assert (status.Status, keyword in status.ErrorComment) == (0x0120, True)
        status, _ = association.send_n_create(scheduled(ProcedureStepState="IN PROGRESS"), PUSH, "1.2.9")
        assert status.Status == 0xC309
        empty = {one: [] if one.endswith("Sequence") else "" for one in CREATED_PRESENT}
        assert association.send_n_create(scheduled(**empty), PUSH, "1.2.8")[0].Status == 0
        status, made = association.send_n_create(scheduled(), PUSH, "1.2.9")
        assert (status.Status, made.ProcedureStepLabel) == (0, "AI draft")
        assert association.send_n_create(scheduled(), PUSH, "1.2.9")[0].Status == 0x0111
    finally:
        association.release()


def test_transaction_uid_is_never_given_away(manager: Manager, remote: RemoteManager, uid: str) -> None:
    """Anyone who knows it may act as the performer."""
    bring_to(manager, StepState.IN_PROGRESS, uid)
    found = remote.get(uid)
    assert found is not None
    assert "TransactionUID" not in found
    assert MINE not in str(found)


def test_query_returns_what_matches_urgent_ones_first(manager: Manager, remote: RemoteManager) -> None:
    """State and readiness are keys; the order is by priority."""
    for number, priority in enumerate(("LOW", "HIGH", "MEDIUM")):
        manager.create(f"1.2.3.{number}", scheduled(ScheduledProcedureStepPriority=priority))
    manager.create("1.2.3.9", scheduled(InputReadinessState="INCOMPLETE"))
    ours = [one for one in remote.ready() if str(one.SOPInstanceUID).startswith("1.2.3.")]
    found = [str(one.ScheduledProcedureStepPriority) for one in ours]
    assert found == ["HIGH", "MEDIUM", "LOW"]


def test_update_needs_the_performers_transaction_uid(
    manager: Manager, remote: RemoteManager, uid: str
) -> None:
    """Only the performer may update a claimed workitem; nobody may update a final one."""
    bring_to(manager, StepState.IN_PROGRESS, uid)
    changes = Dataset()
    changes.ProcedureStepLabel = "changed"
    assert f"{remote.update(uid, changes, OTHER):04X}" == "C301"
    assert remote.update(uid, changes, MINE) == 0
    bring_to(manager, StepState.COMPLETED, "1.2.7")
    assert f"{remote.update('1.2.7', changes, MINE):04X}" == "C300"


def test_subscriber_hears_every_event_in_order(
    manager: Manager, remote: RemoteManager, worklist_database: Database, uid: str
) -> None:
    """Both steps of a cancellation, progress, a cancel request and the restart of the manager are sent."""
    with subscriber() as reader:
        reporter = EventReporter(worklist_database, {"READER": peer(reader.port, "READER")})
        assert remote.subscribe("READER") == 0
        bring_to(manager, StepState.SCHEDULED, uid)
        assert manager.request_cancel(uid, Dataset(), "X").status == 0
        bring_to(manager, StepState.IN_PROGRESS, "1.2.5")
        changes = Dataset()
        step = Dataset()
        step.ProcedureStepProgress = "50"
        changes.ProcedureStepProgressInformationSequence = [step]
        manager.update("1.2.5", changes, transaction_uid=MINE)
        manager.request_cancel("1.2.5", Dataset(), "X")
        manager.announce("RESTARTED")
        while reporter.tick():
            pass
        heard = reader.wait_for(8)
    assert manager.unsubscribe(str(GLOBAL_SUBSCRIPTION), "READER").status == 0
    states = [str(ds.ProcedureStepState) for kind, one, ds in reader.events if kind == 1 and one == uid]
    assert states == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
    assert [kind for kind, one in heard if one == "1.2.5"] == [1, 1, 3, 2]
    assert heard[-1] == (4, str(GLOBAL_SUBSCRIPTION))


def test_unknown_receiver_is_refused(remote: RemoteManager) -> None:
    """A receiver to which events cannot be sent is refused."""
    assert f"{remote.subscribe('NOBODY'):04X}" == "C308"


def test_single_and_filtered_subscriptions(manager: Manager, worklist_database: Database) -> None:
    """A filter applies to later workitems; a suspended global subscription gets no new ones."""

    def heard_of(uid: str) -> list[str]:
        with worklist_database.transaction() as session:
            return receivers(session, session.scalars(select(Workitem).where(Workitem.uid == uid)).one())

    keys = Dataset()
    keys.PatientID = "P7"
    manager.subscribe("1.2.840.10008.5.1.4.34.5.1", "A", keys=keys)
    manager.subscribe(str(GLOBAL_SUBSCRIPTION), "B")
    manager.create("1.1", scheduled(PatientID="P7"))
    manager.create("1.2", scheduled(PatientID="P8"))
    assert (heard_of("1.1"), heard_of("1.2")) == (["A", "B"], ["B"])
    manager.suspend(str(GLOBAL_SUBSCRIPTION), "B")
    manager.create("1.3", scheduled(PatientID="P8"))
    assert (heard_of("1.2"), heard_of("1.3")) == (["B"], [])
    manager.unsubscribe("1.2", "B")
    assert heard_of("1.2") == []

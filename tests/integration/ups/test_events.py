"""Events reach every reachable subscriber, however many are not; restarts are announced, rights enforced."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydicom import Dataset
from pynetdicom import AE

from agent.database.session import Database
from agent.foundation.settings.tree import ListenerSettings
from agent.foundation.settings.ups import Right, UpsPeer, UpsPermission
from agent.network.scu import associated
from agent.ris.ups.manager import Manager
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.reporting import EventReporter
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.scu import RemoteManager, open_manager
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION, PUSH, StepState, UpsStatus
from tests.support.ups import scheduled
from tests.support.ups_peer import peer, subscriber

GLOBAL = str(GLOBAL_SUBSCRIPTION)
DEAD = 200


def test_200_dead_subscribers_keep_no_event_from_one_that_lives(database: Database) -> None:
    """Some refuse the connection, some accept it and are silent; the live one gets everything in order."""
    titles = [f"DEAD{number}" for number in range(DEAD)]
    manager = Manager(database, reachable=[*titles, "READER"])
    with ExitStack() as held, subscriber() as reader:
        silent = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=DEAD)).getsockname()[1]
        refusing = socket.create_server(("127.0.0.1", 0))
        closed = refusing.getsockname()[1]
        refusing.close()
        peers: dict[str, UpsPeer] = {
            title: UpsPeer(host="127.0.0.1", port=closed if n % 2 else silent, ae_title=title, timeout_s=0.5)
            for n, title in enumerate(titles)
        }
        peers["READER"] = peer(reader.port, "READER")
        for title in peers:
            assert manager.subscribe(GLOBAL, title).status == 0
        assert manager.create("2.25.9100.1", scheduled()).status == 0
        assert manager.request_cancel("2.25.9100.1", Dataset(), "X").status == 0
        reporter = EventReporter(database, peers)
        held.callback(reporter.close)
        for _ in range(240):
            reporter.tick()
            if len(reader.wait_for(3, 0.5)) >= 3:
                break
        states = [str(one.ProcedureStepState) for _, _, one in reader.events]
    assert states == ["SCHEDULED", "IN PROGRESS", "CANCELED"]


def test_restart_is_announced_as_warm(database: Database) -> None:
    """Subscriptions and workitems survive the process: (0074,1246) and (0074,1247) say WARM START."""
    manager = Manager(database, reachable=["READER"])
    manager.subscribe(GLOBAL, "READER")
    with subscriber() as reader:
        reporter = EventReporter(database, {"READER": peer(reader.port, "READER")})
        Manager(database, reachable=["READER"]).announce("RESTARTED")
        while reporter.tick():
            pass
        reader.wait_for(1)
        reporter.close()
    kind, uid, said = reader.events[0]
    assert (kind, uid, said.SCPStatus) == (4, GLOBAL, "RESTARTED")
    assert (said.SubscriptionListStatus, said.UnifiedProcedureStepListStatus) == ("WARM START", "WARM START")


RIGHTS = Permissions(
    [
        UpsPermission(ae_title="READER", may=(Right.READ, Right.SUBSCRIBE, Right.CANCEL)),
        UpsPermission(ae_title="PERFORMER", may=(Right.READ, Right.PERFORM, Right.UPDATE)),
        UpsPermission(
            ae_title="RIS", may=(Right.READ, Right.CREATE, Right.SUBSCRIBE, Right.SUBSCRIBE_OTHERS)
        ),
    ]
)


@pytest.fixture
def guarded(database: Database) -> Iterator[int]:
    """The port of a worklist whose callers have rights."""
    manager = Manager(database, reachable=["READER", "PERFORMER"])
    manager.create("2.25.9200.1", scheduled())
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager, permissions=RIGHTS)
    yield scp.start()
    scp.stop()


def attempts(remote: RemoteManager) -> dict[str, int]:
    """Return the status of each kind of request."""
    changes, uid = Dataset(), "2.25.9200.1"
    changes.ScheduledProcedureStepPriority = "HIGH"
    return {
        "read": 0 if remote.get(uid) is not None else 1,
        "update": remote.update(uid, changes, ""),
        "subscribe": remote.subscribe("READER"),
        "claim": remote.change_state(uid, StepState.IN_PROGRESS, "2.25.1"),
        "cancel": remote.request_cancel(uid, Dataset()),
    }


@pytest.mark.parametrize(
    ("calling", "allowed"),
    [
        ("READER", {"read", "subscribe", "cancel"}),
        ("PERFORMER", {"read", "update", "claim"}),
        ("RIS", {"read", "subscribe"}),
        ("STRANGER", {"read"}),
    ],
)
def test_caller_does_what_it_may_and_nothing_else(guarded: int, calling: str, allowed: set[str]) -> None:
    """Everything else is 0x0124; a subscriber may subscribe itself, or others if it has that right."""
    caller = peer(guarded).model_copy(update={"calling_ae_title": calling})
    with open_manager(caller) as remote:
        statuses = attempts(remote)
    refused = {name for name, status in statuses.items() if status == UpsStatus.NOT_AUTHORIZED}
    assert {name for name, status in statuses.items() if status == 0} == allowed
    assert refused == set(statuses) - allowed


def test_tokens_carry_the_rights_of_their_ae_title() -> None:
    """The token in the settings has all rights; an unknown one has none."""
    entry = UpsPermission(ae_title="READER", token="r", may=(Right.READ,))
    permissions = Permissions([entry], "all")
    assert permissions.rights_of("all") == ("", frozenset(Right))
    assert permissions.rights_of("r") == ("READER", frozenset({Right.READ}))
    assert (permissions.rights_of(""), permissions.rights_of("x")) == (None, None)


@pytest.mark.parametrize(
    ("named_class", "uid", "status"),
    [
        (PUSH, "1.2.3.04", 0x0117),
        (PUSH, "not-a-uid", 0x0117),
        ("1.2.840.10008.5.1.4.34.6.4", "2.25.9300.1", 0x0118),
        ("1.2.840.10008.3.1.2.3.3", "2.25.9300.2", 0x0118),
        (PUSH, "2.25.9300.3", 0x0000),
    ],
)
def test_classes_and_instances_that_cannot_be_are_refused(
    port: int, named_class: str, uid: str, status: int
) -> None:
    """0x0117 for an invalid UID, 0x0118 for a class that is not the worklist's."""
    with warnings.catch_warnings(), associated(peer(port), [PUSH]) as association:
        warnings.simplefilter("ignore")
        answer, _ = association.send_n_create(scheduled(), named_class, uid, meta_uid=PUSH)
    assert f"{answer.Status:04X}" == f"{status:04X}"


def test_manager_names_the_uid_that_it_has_made(port: int) -> None:
    """Without an Affected SOP Instance UID in the request the response has a new one."""
    entity = AE(ae_title="TESTER")
    entity.add_requested_context(PUSH)
    association = entity.associate("127.0.0.1", port, ae_title="ECHO_UPS")
    answer, made = association.send_n_create(scheduled(), PUSH, None)
    association.release()
    assert answer.Status == 0
    assert str(made.SOPInstanceUID).startswith("2.25.")


@pytest.mark.parametrize("given", ["", "x", "1.2.03", "*", "1.2.3\\1.2.4", "9" * 65])
def test_claim_without_a_uid_is_refused(
    remote: RemoteManager, manager: Manager, uid: str, given: str
) -> None:
    """An invalid Transaction UID is answered 0xC301, and the workitem stays SCHEDULED."""
    manager.create(uid, scheduled())
    assert f"{manager.change_state(uid, 'IN PROGRESS', given).status:04X}" == "C301"
    found = remote.get(uid)
    assert found is not None
    assert found.ProcedureStepState == "SCHEDULED"


def test_data_set_with_too_many_items_is_refused_before_it_is_parsed(port: int) -> None:
    """100,000 empty items of a sequence are 800 kB, and would become 300 MB of Python objects."""
    entity = AE(ae_title="TESTER")
    entity.add_requested_context(PUSH)
    association = entity.associate("127.0.0.1", port, ae_title="ECHO_UPS")
    item = scheduled()
    item.InputInformationSequence = [Dataset()] * 100_000
    answer, _ = association.send_n_create(item, PUSH, "2.25.9400.1")
    again, _ = association.send_n_create(scheduled(), PUSH, "2.25.9400.2")
    association.release()
    assert (f"{answer.Status:04X}", again.Status) == ("0106", 0)


def test_data_set_over_the_limit_ends_its_association_alone(port: int) -> None:
    """More than 4 MB are never kept; the worklist continues to serve others."""
    item = scheduled()
    item.add_new(0x00420011, "OB", bytes(5_000_000))
    with associated(peer(port), [PUSH]) as association:
        answer, _ = association.send_n_create(item, PUSH, "2.25.9500.1")
    assert "Status" not in answer
    with open_manager(peer(port)) as remote:
        assert remote.get("2.25.9500.1") is None

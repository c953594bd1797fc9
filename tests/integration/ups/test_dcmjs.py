"""The worklist and npm's dcmjs-dimse: one peer goes through all requests, one competes with us."""

from __future__ import annotations

import json

from pydicom import Dataset
from sqlalchemy import select

from agent.commands.demo.orthanc import free_ports
from agent.database.session import Database
from agent.database.workitems import UpsEvent
from agent.foundation.settings.tree import ListenerSettings
from agent.ris.ups.manager import Manager
from agent.ris.ups.reporting import EventReporter
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION
from tests.integration.ups.node import Node
from tests.integration.ups.test_performer import Site, order
from tests.support.ups import scheduled
from tests.support.ups_peer import peer

RACED = 60


def attributes(**changes: object) -> str:
    """Return a workitem as dcmjs writes it: by keywords."""
    return json.dumps(plain(scheduled(**changes)))


def plain(item: Dataset) -> dict[str, object]:
    """Return a data set by keywords."""
    return {
        one.keyword: [plain(part) for part in one.value] if one.VR == "SQ" else str(one.value) for one in item
    }


def test_peer_walks_from_creation_to_the_end(worklist_database: Database, node: Node) -> None:
    """Query, claim, progress, completion, cancel requests and subscription have their statuses and events."""
    (listening,) = free_ports(1)
    manager = Manager(worklist_database, reachable=["NODE"])
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    reporter = EventReporter(worklist_database, {"NODE": peer(listening, "NODE")})
    uid, other = "2.25.8800.1", "2.25.8800.2"
    port = scp.start()
    try:
        with node.running("walk", str(port), str(listening), uid, other, attributes()) as process:
            while process.poll() is None:
                reporter.tick()
            out, errors = process.communicate()
            assert process.returncode == 0, errors
    finally:
        scp.stop()
    told = json.loads(out.splitlines()[-1])
    assert {name: f"{status:04X}" for name, status in told["statuses"].items()} == {
        "subscribe": "0000",
        "create": "0000",
        "createAgain": "0111",
        "find": "0000",
        "claim": "0000",
        "claimAgain": "C302",
        "wrong": "C301",
        "progress": "0000",
        "requestCancel": "0000",
        "tooEarly": "C304",
        "outcome": "0000",
        "complete": "0000",
        "completeAgain": "B306",
        "get": "0000",
        "createOther": "0000",
        "cancelOther": "0000",
        "cancelOtherAgain": "B304",
        "unsubscribe": "0000",
    }
    assert [one["SOPInstanceUID"] for one in told["found"]] == [uid]
    assert (told["got"]["ProcedureStepState"], "TransactionUID" in told["got"]) == ("COMPLETED", False)
    events = [(one["type"], one["state"]) for one in told["heard"] if one["uid"] == uid]
    assert events == [
        (1, "SCHEDULED"), (1, "IN PROGRESS"), (3, None), (2, None), (1, "COMPLETED"),
    ]  # fmt: skip
    states = [one["state"] for one in told["heard"] if one["uid"] == other]
    assert states == ["SCHEDULED", "IN PROGRESS", "CANCELED"]


def test_two_performers_race_and_each_workitem_is_performed_once(
    worklist_database: Database, database: Database, node: Node
) -> None:
    """Our performer and one on dcmjs-dimse claim all they can: each workitem has one claim and one end."""
    manager = Manager(worklist_database, reachable=["WATCHER"])
    manager.subscribe(str(GLOBAL_SUBSCRIPTION), "WATCHER")
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    port = scp.start()
    site = Site(database, port)
    uids = [f"2.25.8900.{n}" for n in range(RACED)]
    for uid in uids:
        job = site.study(f"{uid}.1")
        site.go(job, "DELIVERED", drafted=True)
        order(manager, uid, f"{uid}.1")
    try:
        with node.running("race", str(port)) as rival:
            assert rival.stdin is not None
            assert rival.stdout is not None
            assert rival.stdout.readline() == "ready\n"
            rival.stdin.write("go\n")
            rival.stdin.flush()
            performer = site.performer()
            while rival.poll() is None:
                performer.tick()
            out, errors = rival.communicate()
            assert rival.returncode == 0, errors
            performer.tick()
    finally:
        scp.stop()
    theirs = set(json.loads(out.splitlines()[-1]))
    ours = {one.uid for one in site.claims() if one.state == "done"}
    assert (sorted(ours | theirs), ours & theirs) == (sorted(uids), set())
    with worklist_database.reading() as session:
        events = session.scalars(select(UpsEvent).where(UpsEvent.uid.in_(uids), UpsEvent.event_type == 1))
        steps = [(one.uid, one.content["00741000"]["Value"][0]) for one in events]
    for state in ("IN PROGRESS", "COMPLETED"):
        assert sorted(uid for uid, step in steps if step == state) == sorted(uids)

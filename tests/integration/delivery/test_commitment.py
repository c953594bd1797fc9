"""Storage commitment with a PACS that keeps, loses, does not answer, or is not the one it claims to be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import evt
from sqlalchemy import func, select, update

from agent.commands.demo.orthanc import Orthanc
from agent.database.audit.record import Action
from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import AuditEvent, Commitment, Delivery
from agent.delivery.deliverer import Deliverer
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.operations.health import judge
from agent.operations.history import job_history
from agent.operations.status import read_status
from agent.queue import operator
from tests.integration.delivery.committing import CommittingPacs, Hearing, hearing, reference, send_report
from tests.integration.delivery.outbox import QUICK, delivery_states, outbox, running, state_of
from tests.support.operator_context import operator_context_of
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
MakePacs = Callable[..., CommittingPacs]
Hear = Callable[..., Hearing]
BOTH_COMMITTED = ["COMMITTED", "COMMITTED"]

PROGRAM = """
import sys, threading
from agent.database.session import Database, open_engine
from agent.delivery.deliverer import Deliverer
from agent.foundation.settings.tree import DeliverySettings, DestinationSettings, Settings
destination = DestinationSettings(
    name="pacs", host="127.0.0.1", port=int(sys.argv[2]), ae_title="PACS",
    commitment=True, commitment_wait_s=60,
)
settings = Settings(destinations=(destination,), delivery=DeliverySettings(poll_s=0.05))
Deliverer(Database(open_engine(sys.argv[1])), settings, owner="doomed").run(threading.Event())
"""


@pytest.fixture
def archive() -> Iterator[MakePacs]:
    """Make a PACS that is stopped after the test."""
    made: list[CommittingPacs] = []

    def make(**values: Any) -> CommittingPacs:
        made.append(CommittingPacs(**values))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def hear(tmp_path: Path) -> Iterator[Hear]:
    """Start a listener next to the deliverer."""
    ends: list[Callable[[], None]] = []

    def start(database: Database, *destinations: DestinationSettings, **values: Any) -> Hearing:
        heard, end = hearing(database, tmp_path, destinations, **values)
        ends.append(end)
        return heard

    yield start
    for end in ends:
        end()


def until_states(
    database: Database, wanted: list[str], *destinations: DestinationSettings, **values: Any
) -> None:
    """Run a deliverer until the deliveries have these states."""
    end = running(database, *destinations, **values)
    try:
        wait_for(lambda: delivery_states(database) == wanted)
    finally:
        end()


def committed_by_a_new_association(
    database: Database, archive: MakePacs, letters: Letters, hear: Hear
) -> CommittingPacs:
    """A PACS that has reported over new associations that it holds both documents."""
    peer = archive(style="new")
    destination = peer.start()
    peer.listener_port = hear(database, destination).port
    outbox(database, letters(1), 1, "pacs")
    until_states(database, BOTH_COMMITTED, destination)
    return peer


@pytest.mark.parametrize("style", ["same", "early"])
def test_commitment_report_on_the_same_association(
    both_databases: Database, archive: MakePacs, letters: Letters, style: str
) -> None:
    """The report arrives before we release, or even before the request is answered; it gets success."""
    peer = archive(style=style)
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    until_states(both_databases, BOTH_COMMITTED, peer.start())
    wait_for(lambda: bool(peer.reported))
    named = sorted(
        item.ReferencedSOPInstanceUID for one in peer.requests for item in one.ReferencedSOPSequence
    )
    assert named == sorted(letter.sop_instance_uid for letter in letters(1))
    assert set(peer.reported) == {0x0000}
    assert state_of(both_databases, job_id) == "DELIVERED"
    with both_databases.reading() as session:
        events = session.scalars(
            select(AuditEvent.succeeded).where(AuditEvent.action == Action.COMMITMENT.value)
        ).all()
    assert events == [True, True]


def test_commitment_report_on_a_new_association(
    both_databases: Database, archive: MakePacs, letters: Letters, hear: Hear
) -> None:
    """The report reaches the listener, which is not the process that sent the request."""
    peer = committed_by_a_new_association(both_databases, archive, letters, hear)
    wait_for(lambda: bool(peer.reported))
    assert set(peer.reported) == {0x0000}


def test_commitment_repeated_report_changes_nothing(
    both_databases: Database, archive: MakePacs, letters: Letters, hear: Hear
) -> None:
    """A PACS that did not receive our answer reports again, and gets success again."""
    peer = committed_by_a_new_association(both_databases, archive, letters, hear)
    peer.held.clear()  # it contradicts itself: the first report counts
    assert [peer.report(one) for one in peer.requests] == [0x0000] * len(peer.requests)
    assert delivery_states(both_databases) == BOTH_COMMITTED


def test_commitment_of_strangers_is_refused_and_audited(
    both_databases: Database, archive: MakePacs, letters: Letters, hear: Hear
) -> None:
    """A wrong peer and an unknown transaction get the same status; an unlisted AE title is rejected."""
    peer = archive(style="never")
    destination = peer.start()
    heard = hear(both_databases, destination)
    outbox(both_databases, letters(1), 1, "pacs")
    end = running(both_databases, destination)
    try:
        wait_for(lambda: bool(peer.requests))
    finally:
        end()
    _kind, report = peer.report_of(peer.requests[0])
    unknown = Dataset()
    unknown.TransactionUID = "2.25.1"
    assert send_report(heard.port, report, calling="OTHER") == 0x0115
    assert send_report(heard.port, unknown) == 0x0115
    assert send_report(heard.port, report, calling="STRANGER") == -1
    assert "COMMITTED" not in delivery_states(both_databases)
    refused = [(one.actor, one.details["code"]) for one in heard.noted if one.action is Action.COMMITMENT]
    assert refused == [("OTHER", "wrong-peer"), ("PACS", "unknown-transaction")]
    assert [one.actor for one in heard.noted if one.action is Action.REFUSED] == ["STRANGER"]
    assert heard.count("report-0115") == 2


def test_commitment_malformed_reports_are_answered(database: Database, hear: Hear) -> None:
    """Each defect gets the status defined in PS3.7, and the listener keeps running."""
    destination = DestinationSettings(name="pacs", host="127.0.0.1", ae_title="PACS", commitment=True)
    heard = hear(database, destination)
    empty, item = Dataset(), Dataset()
    empty.RetrieveAETitle = "PACS"
    broken = Dataset()
    broken.TransactionUID = "2.25.1"
    broken.ReferencedSOPSequence = DicomSequence([item])
    transaction = Dataset()
    transaction.TransactionUID = "2.25.1"
    assert send_report(heard.port, transaction, instance="1.2.3") == 0x0112
    assert send_report(heard.port, transaction, 7) == 0x0113
    assert send_report(heard.port, None) == 0x0114
    assert send_report(heard.port, empty) == 0x0114
    assert send_report(heard.port, broken) == 0x0115
    assert send_report(heard.port, transaction) == 0x0115


def test_commitment_lost_documents_are_sent_again(
    both_databases: Database, archive: MakePacs, letters: Letters
) -> None:
    """A PACS that accepts and loses gets the same bytes under the same UID; the history shows it."""
    findings, report = letters(1)
    peer = archive(loses=[findings.sop_instance_uid])
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    until_states(both_databases, BOTH_COMMITTED, peer.start())
    assert peer.uids.count(findings.sop_instance_uid) == 2
    assert len(set(peer.received)) == 2
    lines = job_history(both_databases, job_id).deliveries
    assert {one.sop_instance_uid: one.losses for one in lines} == {
        findings.sop_instance_uid: 1,
        report.sop_instance_uid: 0,
    }
    assert state_of(both_databases, job_id) == "DELIVERED"


def test_commitment_lost_for_ever_is_dead(
    both_databases: Database, archive: MakePacs, letters: Letters
) -> None:
    """Sending to a PACS that keeps nothing ends: the job is DEAD, and a person can retry it."""
    findings, report = letters(1)
    peer = archive(loses=[findings.sop_instance_uid] * 9)
    destination = peer.start(commitment_resends=1)
    job_id = outbox(both_databases, (findings, report), 1, "pacs")
    until_states(both_databases, ["DEAD", "COMMITTED"], destination)
    assert peer.uids.count(findings.sop_instance_uid) == 2
    with both_databases.reading() as session:
        code = session.scalar(select(Delivery.code).where(Delivery.state == "DEAD"))
    assert (state_of(both_databases, job_id), code) == ("DEAD", "commitment-lost")
    peer.loses.clear()
    assert operator.retry(operator_context_of(both_databases), job_id, actor="me") == JobState.DELIVERING
    until_states(both_databases, BOTH_COMMITTED, destination)
    assert state_of(both_databases, job_id) == "DELIVERED"


@pytest.mark.parametrize("offers", [True, False], ids=["silent", "no-commitment"])
def test_commitment_without_a_report_asks_what_is_held(
    both_databases: Database, archive: MakePacs, letters: Letters, offers: bool
) -> None:
    """Without a report or the service, what C-FIND finds is COMMITTED; what it does not is sent again."""
    findings, _report = letters(1)
    peer = archive(style="never", commits=offers, loses=[findings.sop_instance_uid])
    outbox(both_databases, letters(1), 1, "pacs")
    until_states(both_databases, BOTH_COMMITTED, peer.start(commitment_timeout_s=0.2))
    with both_databases.reading() as session:
        codes = session.scalars(select(Delivery.code)).all()
    assert codes == ["found-by-query", "found-by-query"]
    assert peer.uids.count(findings.sop_instance_uid) == 2


def test_commitment_look_up_that_was_cut_off_is_taken_over(
    both_databases: Database, archive: MakePacs, letters: Letters
) -> None:
    """A process that dies during the query blocks others no longer than a report may take."""

    class Died(Exception):
        pass

    class Dying:
        def ask(self, *_anything: object) -> None:
            """No report will arrive."""

        def look_up(self, *_anything: object) -> frozenset[str]:
            raise Died

    destination = archive(style="never").start(commitment_timeout_s=0.2)
    outbox(both_databases, letters(1), 1, "pacs")
    settings = Settings(destinations=(destination,), delivery=QUICK)
    doomed = Deliverer(both_databases, settings, owner="doomed", ask=Dying())

    def ask_until_death() -> None:
        while True:
            doomed.run_once()

    with pytest.raises(Died):
        ask_until_death()
    until_states(both_databases, BOTH_COMMITTED, destination)


def test_commitment_that_nobody_gives_is_an_alert(
    both_databases: Database, archive: MakePacs, letters: Letters
) -> None:
    """A PACS neither reports nor can be queried: `status` shows it; a person can request commitment again."""
    peer = archive(style="never", queries=False)
    destination = peer.start(commitment_timeout_s=0.2, commitment_attempts=2)
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    until_states(both_databases, ["UNCOMMITTED", "UNCOMMITTED"], destination)
    assert state_of(both_databases, job_id) == "DELIVERED"
    settings = Settings(destinations=(destination,))
    problems = judge(read_status(both_databases, settings), settings)
    assert "deliveries-uncommitted" in [one.code for one in problems]
    peer.style = "same"
    assert operator.retry(operator_context_of(both_databases), job_id, actor="me") == JobState.DELIVERED
    until_states(both_databases, BOTH_COMMITTED, destination.model_copy(update={"commitment_wait_s": 30.0}))


def test_commitment_late_report_after_the_alert_still_counts(
    both_databases: Database, archive: MakePacs, letters: Letters, hear: Hear
) -> None:
    """The report of an older transaction counts too: the document has not been sent again since."""
    peer = archive(style="never", queries=False)
    destination = peer.start(commitment_timeout_s=0.2, commitment_attempts=2)
    peer.listener_port = hear(both_databases, destination).port
    outbox(both_databases, letters(1), 1, "pacs")
    until_states(both_databases, ["UNCOMMITTED", "UNCOMMITTED"], destination)
    assert peer.report(peer.requests[0]) == 0x0000
    if len(peer.requests[0].ReferencedSOPSequence) < 2:
        assert peer.report(peer.requests[1]) == 0x0000
    assert delivery_states(both_databases) == BOTH_COMMITTED


def test_commitment_busy_pacs_is_asked_again_with_another_transaction(
    both_databases: Database, archive: MakePacs, letters: Letters
) -> None:
    """A temporarily refused request ends nothing."""
    peer = archive(action_answers=[0x0213])
    outbox(both_databases, letters(1), 1, "pacs")
    until_states(both_databases, BOTH_COMMITTED, peer.start())
    with both_databases.reading() as session:
        transactions = session.scalar(select(func.count()).select_from(Commitment))
    assert transactions == len(peer.requests) + 1


def test_commitment_failure_of_another_object_is_dead(
    both_databases: Database, archive: MakePacs, letters: Letters, hear: Hear
) -> None:
    """0x0119, another object under our UID: nothing is sent again; a person must check."""
    peer = archive(style="never")
    destination = peer.start()
    heard = hear(both_databases, destination)
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    end = running(both_databases, destination)
    try:
        wait_for(lambda: sum(len(one.ReferencedSOPSequence) for one in peer.requests) == 2)
    finally:
        end()
    for request in peer.requests:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        report.FailedSOPSequence = DicomSequence(
            [reference(item, 0x0119) for item in request.ReferencedSOPSequence]
        )
        assert send_report(heard.port, report, 2) == 0x0000
    assert delivery_states(both_databases) == ["DEAD", "DEAD"]
    assert state_of(both_databases, job_id) == "DEAD"


def test_commitment_killed_between_request_and_report(
    both_databases: Database, database_url: str, archive: MakePacs, letters: Letters, hear: Hear
) -> None:
    """The deliverer dies while the PACS processes the request: the listener knows the transaction."""
    processes: list[subprocess.Popen[bytes]] = []

    def kill_the_asker(_event: evt.Event) -> int:
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait(timeout=30)
        return 0x0000

    peer = archive(style="never", action_answers=[kill_the_asker])
    destination = peer.start()
    peer.listener_port = hear(both_databases, destination).port
    outbox(both_databases, letters(1), 1, "pacs")
    processes.append(WarmPopen([sys.executable, "-c", PROGRAM, database_url, str(peer.port)]))
    wait_for(lambda: bool(peer.requests))
    assert peer.report(peer.requests[0]) == 0x0000
    assert delivery_states(both_databases).count("COMMITTED") == len(peer.requests[0].ReferencedSOPSequence)
    peer.style = "same"
    with both_databases.transaction() as session:
        past = database_now(session)
        session.execute(update(Delivery).where(Delivery.lease_until.is_not(None)).values(lease_until=past))
        session.execute(update(Delivery).where(Delivery.state == "STORED").values(commit_at=past))
    until_states(both_databases, BOTH_COMMITTED, destination.model_copy(update={"commitment_wait_s": 30.0}))


def test_commitment_of_a_real_orthanc(
    both_databases: Database, orthanc: Orthanc, letters: Letters, hear: Hear
) -> None:
    """Orthanc reports over a new association; what was deleted there after storing is sent again."""
    destination = DestinationSettings(
        name="orthanc", host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title, commitment_wait_s=0
    )
    asked = destination.model_copy(update={"commitment": True})
    heard = hear(both_databases, asked)
    number = 7000 + heard.port
    orthanc.put(
        "/modalities/agent",
        {"AET": "ECHO_AGENT", "Host": "127.0.0.1", "Port": heard.port, "AllowStorageCommitment": True},
    )
    findings, report = letters(number)
    job_id = outbox(both_databases, (findings, report), number, "orthanc")
    until_states(both_databases, ["STORED", "STORED"], destination)
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": findings.sop_instance_uid}}
    orthanc.delete(f"/instances/{orthanc.post('/tools/find', query)[0]}")
    with both_databases.transaction() as session:
        session.execute(update(Delivery).values(commit_at=database_now(session)))
    until_states(both_databases, BOTH_COMMITTED, asked)
    assert state_of(both_databases, job_id) == "DELIVERED"
    assert heard.count("report-0000") >= 2
    with both_databases.reading() as session:
        losses = session.scalars(select(Delivery.losses).order_by(Delivery.id)).all()
    assert losses == [1, 0]
    assert len(orthanc.documents(f"1.2.840.99.{number}")) == 2

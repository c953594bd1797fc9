"""The running deliverer: threads, a PACS that goes down and comes back, and a process that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pynetdicom import evt
from sqlalchemy import update

from agent.database.session import Database, database_now
from agent.database.tables import Delivery
from agent.foundation.settings.tree import DestinationSettings
from agent.queue import operator
from tests.integration.delivery.outbox import delivery_states, outbox, running, state_of
from tests.support.operator_context import operator_context_of
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
MakePacs = Callable[..., Any]

PROGRAM = """
import sys, threading
from agent.database.session import Database, open_engine
from agent.delivery.deliverer import Deliverer
from agent.foundation.settings.tree import DeliverySettings, DestinationSettings, Settings
destination = DestinationSettings(name="pacs", host="127.0.0.1", port=int(sys.argv[2]), ae_title="PACS")
settings = Settings(destinations=(destination,), delivery=DeliverySettings(poll_s=0.05))
Deliverer(Database(open_engine(sys.argv[1])), settings, owner="doomed").run(threading.Event())
"""


def test_deliverer_sends_while_another_destination_is_dead(
    both_databases: Database, pacs: MakePacs, letters: Letters, free_port: int
) -> None:
    """The available PACS gets its documents while the other one is retried until it comes up.

    A retried document may follow one that was sent after its failure: the order is not guaranteed.
    """
    alive, late = pacs(), pacs()
    destination = alive.start()
    other = DestinationSettings(name="late", host="127.0.0.1", port=free_port, ae_title="PACS", timeout_s=2)
    job_id = outbox(both_databases, letters(1), 1, "pacs", "late")
    end = running(both_databases, destination, other)
    try:
        wait_for(lambda: len(alive.received) == 2)
        assert state_of(both_databases, job_id) == "DELIVERING"
        late.start(free_port)
        wait_for(lambda: state_of(both_databases, job_id) == "DELIVERED")
    finally:
        end()
    assert (len(alive.received), sorted(late.received)) == (2, sorted(alive.received))


def test_deliverer_busy_pacs_gets_the_same_bytes_again(
    both_databases: Database, pacs: MakePacs, letters: Letters
) -> None:
    """Out of resources twice, then success: the same UIDs, each stored once."""
    peer = pacs(answers=[0xA700, 0xA700])
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    end = running(both_databases, peer.start())
    try:
        wait_for(lambda: state_of(both_databases, job_id) == "DELIVERED")
    finally:
        end()
    assert sorted(peer.uids) == sorted(letter.sop_instance_uid for letter in letters(1))


def test_deliverer_killed_before_it_could_note_the_answer(
    both_databases: Database, database_url: str, pacs: MakePacs, letters: Letters
) -> None:
    """After `kill -9` between the PACS's storing and our commit, the document is sent again unchanged."""
    processes: list[subprocess.Popen[bytes]] = []
    peer = pacs()

    def kill_the_sender(event: evt.Event) -> int:
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait(timeout=30)
        return 0x0000

    peer.answers = [kill_the_sender]
    destination = peer.start()
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    processes.append(WarmPopen([sys.executable, "-c", PROGRAM, database_url, str(peer.port)]))
    wait_for(lambda: len(peer.uids) == 1)
    assert state_of(both_databases, job_id) == "DELIVERING"
    with both_databases.transaction() as session:
        past = database_now(session) - timedelta(seconds=1)
        session.execute(update(Delivery).where(Delivery.lease_until.is_not(None)).values(lease_until=past))
    end = running(both_databases, destination)
    try:
        wait_for(lambda: state_of(both_databases, job_id) == "DELIVERED")
    finally:
        end()
    first, second = (letter.sop_instance_uid for letter in letters(1))
    assert peer.uids.count(first) == 2
    assert peer.uids.count(second) == 1
    assert len(set(peer.received)) == 2


@pytest.mark.parametrize("fault", ["drops", "busy", "hangs-up-after-storing"])
def test_deliverer_faults_of_one_moment_lose_and_double_nothing(
    both_databases: Database, pacs: MakePacs, letters: Letters, fault: str
) -> None:
    """An association that breaks before or after storing, or 0xA700: each document arrives unchanged."""

    def drop(event: evt.Event) -> int:
        event.assoc.abort()
        return 0xA700

    def store_and_drop(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    answers = {"drops": [drop], "busy": [0xA700], "hangs-up-after-storing": [store_and_drop]}
    peer = pacs(answers=answers[fault])
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    end = running(both_databases, peer.start())
    try:
        wait_for(lambda: state_of(both_databases, job_id) == "DELIVERED")
    finally:
        end()
    assert set(peer.uids) == {letter.sop_instance_uid for letter in letters(1)}
    assert len(set(peer.received)) == 2


def test_deliverer_final_refusal_ends_one_document_only(
    both_databases: Database, pacs: MakePacs, letters: Letters
) -> None:
    """0x0122 for the findings: DEAD at once, while the report is stored; after a retry it arrives."""
    peer = pacs(answers=[0x0122])
    destination = peer.start()
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    end = running(both_databases, destination)
    try:
        wait_for(lambda: state_of(both_databases, job_id) == "DEAD")
        assert delivery_states(both_databases) == ["DEAD", "STORED"]
        operator.retry(operator_context_of(both_databases), job_id, actor="me")
        wait_for(lambda: state_of(both_databases, job_id) == "DELIVERED")
    finally:
        end()
    assert sorted(peer.uids) == sorted(letter.sop_instance_uid for letter in letters(1))

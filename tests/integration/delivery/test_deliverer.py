"""The deliverer as it runs: threads, a PACS that dies and comes back, and a process that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from pynetdicom import evt
from sqlalchemy import select, update

from agent.db.session import Database, database_now
from agent.db.tables import Delivery, Document, Draft, Job, Study
from agent.delivery import Deliverer
from agent.queue import deliveries, jobs
from agent.queue.states import JobState, move
from agent.settings import DeliverySettings, DestinationSettings, Settings

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
MakePacs = Callable[..., Any]
QUICK = DeliverySettings(first_retry_s=0.05, longest_retry_s=0.1, poll_s=0.05, lease_s=30)

PROGRAM = """
import sys, threading
from agent.db.session import Database, open_engine
from agent.delivery import Deliverer
from agent.settings import DeliverySettings, DestinationSettings, Settings
destination = DestinationSettings(name="pacs", host="127.0.0.1", port=int(sys.argv[2]), ae_title="PACS")
settings = Settings(destinations=(destination,), delivery=DeliverySettings(poll_s=0.05))
Deliverer(Database(open_engine(sys.argv[1])), settings, owner="doomed").run(threading.Event())
"""


def outbox(database: Database, letters: Any, number: int, *destinations: str) -> int:
    """A drafted job whose documents wait for each destination; return its id."""
    with database.transaction() as session:
        now = database_now(session)
        study = Study(study_instance_uid=f"1.2.{number}", first_received_at=now, last_received_at=now)
        session.add(study)
        session.flush()
        job = jobs.enqueue(session, study, now=now, revision=1)
        assert job is not None
        for state in (JobState.QUEUED, JobState.GENERATING, JobState.DRAFTED):
            move(session, job, state, now=now)
        draft = Draft(
            study_id=study.id,
            job_id=job.id,
            revision=1,
            model_digest="m",
            model_name="m",
            demonstration=False,
            text="t",
            content={},
            created_at=now,
        )
        session.add(draft)
        session.flush()
        for role, letter in zip(("findings", "report"), letters, strict=True):
            document = Document(
                draft_id=draft.id,
                role=role,
                variant="v",
                sop_class_uid=letter.sop_class_uid,
                sop_instance_uid=letter.sop_instance_uid,
                series_instance_uid="1.2",
                sha256="0",
                content=letter.content,
            )
            session.add(document)
            session.flush()
            for name in destinations:
                deliveries.add(session, document, job, name, now=now, give_up_after_s=3600, priority=50)
        return job.id


def state_of(database: Database, job_id: int) -> str:
    """A job's state."""
    with database.reading() as session:
        return str(session.scalar(select(Job.state).where(Job.id == job_id)))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def running(database: Database, *destinations: DestinationSettings) -> Callable[[], None]:
    """Run a deliverer in a thread; return what stops it."""
    settings = Settings(destinations=destinations, delivery=QUICK)
    stop = threading.Event()
    deliverer = Deliverer(database, settings, owner="d", chance=Random(1))
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end


def test_deliverer_sends_while_another_destination_is_dead(
    both_databases: Database, pacs: MakePacs, letters: Letters, free_port: int
) -> None:
    """The living PACS has its documents while the dead one is retried until it comes up.

    A retried document may follow one that was sent after its failure: the order is not promised.
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
    """`kill -9` between the PACS's storing and our commit: the same document goes again, as itself."""
    processes: list[subprocess.Popen[bytes]] = []
    peer = pacs()

    def kill_the_sender(event: evt.Event) -> int:
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait(timeout=30)
        return 0x0000

    peer.answers = [kill_the_sender]
    destination = peer.start()
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    processes.append(subprocess.Popen([sys.executable, "-c", PROGRAM, database_url, str(peer.port)]))
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

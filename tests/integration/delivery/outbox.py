"""An outbox to deliver from, a running deliverer, and helpers that wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Delivery, Job
from agent.delivery.deliverer import Deliverer
from agent.foundation.settings.tree import DeliverySettings, DestinationSettings, Settings
from agent.queue import deliveries
from agent.queue.states import move
from tests.support.queue_rows import document_of, draft_of, enter

QUICK = DeliverySettings(first_retry_s=0.05, longest_retry_s=0.1, poll_s=0.05, lease_s=30)


def outbox(database: Database, letters: Any, number: int, *destinations: str) -> int:
    """A drafted job with documents waiting for each destination; return its id."""
    with database.transaction() as session:
        job = enter(session, f"1.2.840.99.{number}")
        now = database_now(session)
        for state in (JobState.GENERATING, JobState.DRAFTED):
            move(session, job, state, now=now)
        draft = draft_of(session, job, at=now)
        for role, letter in zip(("findings", "report"), letters, strict=True):
            document = document_of(
                session,
                draft,
                letter.sop_instance_uid,
                role=role,
                sop_class_uid=letter.sop_class_uid,
                series_instance_uid=letter.series_instance_uid,
                content=letter.content,
            )
            for name in destinations:
                deliveries.add(session, document, job, name, now=now, give_up_after_s=3600, priority=50)
        return job.id


def state_of(database: Database, job_id: int) -> str:
    """A job's state."""
    with database.reading() as session:
        return str(session.scalar(select(Job.state).where(Job.id == job_id)))


def delivery_states(database: Database) -> list[str]:
    """The deliveries' states, in order."""
    with database.reading() as session:
        return list(session.scalars(select(Delivery.state).order_by(Delivery.id)))


def running(
    database: Database, *destinations: DestinationSettings, delivery: DeliverySettings = QUICK
) -> Callable[[], None]:
    """Run a deliverer in a thread; return a function that stops it."""
    settings = Settings(destinations=destinations, delivery=delivery)
    stop = threading.Event()
    deliverer = Deliverer(database, settings, owner="d", chance=Random(1))
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end

"""LISTEN/NOTIFY on a real PostgreSQL: work is taken long before the next poll. SQLite is only polled."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.commands.demo.postgres import PostgresServer
from agent.database.session import Database, open_engine
from agent.database.wakeup import JOBS, Waker, notify
from agent.delivery.deliverer import Deliverer
from agent.drafting.prefetch import Prefetcher
from agent.foundation.settings.tree import DeliverySettings, DestinationSettings, Settings
from agent.queue import deliveries, jobs
from agent.queue.deliveries import DeliveryClaim
from agent.reports.material import Material
from tests.support.queue_rows import drafted, enter

pytestmark = pytest.mark.integration

# Nothing here waits for this: a test that needs a poll would exceed its own time limit.
POLL_S = 3600.0
PATIENCE_S = 120.0


@pytest.fixture
def database(postgres: PostgresServer, postgres_template: str) -> Iterator[Database]:
    """An empty PostgreSQL database with the newest schema."""
    opened = Database(open_engine(postgres.url(postgres.create(postgres_template))))
    yield opened
    opened.close()


def test_waker_hears_what_is_committed_and_nothing_else(database: Database) -> None:
    """A transaction wakes the listener when it is committed, and not if it is rolled back."""
    heard = threading.Event()
    with Waker(database, JOBS, heard.set):
        # The first call says that the waker now listens.
        assert heard.wait(PATIENCE_S)
        heard.clear()
        with database.transaction() as session:
            notify(session, JOBS)
            session.rollback()
        assert not heard.wait(1.0)
        with database.transaction() as session:
            notify(session, JOBS)
        assert heard.wait(PATIENCE_S)


def test_waker_survives_the_loss_of_its_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the server ends the connection the waker listens again, and wakes for what it may have missed."""
    monkeypatch.setattr("agent.database.wakeup.AGAIN_AFTER_S", 0.05)
    heard = threading.Event()
    with Waker(database, JOBS, heard.set):
        assert heard.wait(PATIENCE_S)
        heard.clear()
        with database.transaction() as session:
            session.connection().exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert heard.wait(PATIENCE_S)


def test_job_is_taken_long_before_the_next_poll(database: Database) -> None:
    """An idle prefetcher whose next poll is in an hour takes a new job at once."""
    looked, taken, stop = threading.Event(), threading.Event(), threading.Event()

    def claim(room: int, _yielding: int) -> list[jobs.Claim]:
        claims = jobs.claim(database, "w", 60, room)
        (taken if claims else looked).set()
        return claims

    def prepare(_claim: jobs.Claim) -> Material:
        return Material(images=(), indication="", flags=())

    prefetcher = Prefetcher(claim, prepare, lambda _job, _error: None, stop=stop, poll_s=POLL_S, decoders=1)
    found: list[object] = []
    with prefetcher:
        waiting = threading.Thread(target=lambda: found.append(prefetcher.take(4, idle=True)))
        with Waker(database, JOBS, prefetcher.wake):
            waiting.start()
            assert looked.wait(PATIENCE_S)
            with database.transaction() as session:
                enter(session, "1.2.3")
            assert taken.wait(PATIENCE_S)
            waiting.join(PATIENCE_S)
        stop.set()
    assert [len(studies) for studies in found] == [1]  # type: ignore[arg-type]


class Pacs:
    """A destination that accepts everything."""

    def __init__(self) -> None:
        self.has_it = threading.Event()

    @contextmanager
    def _connect(self) -> Iterator[Pacs]:
        yield self

    def __call__(
        self, _destination: DestinationSettings, _sop_class_uids: Iterable[str]
    ) -> AbstractContextManager[Pacs]:
        """Open a connection."""
        return self._connect()

    def store(self, _claim: DeliveryClaim) -> None:
        """Accept a document."""
        self.has_it.set()


def test_document_is_sent_long_before_the_next_poll(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliverer whose next poll is in an hour sends a new document at once."""
    looked, claim = threading.Semaphore(0), deliveries.claim

    def look(*arguments: Any, **values: Any) -> list[DeliveryClaim]:
        claims = claim(*arguments, **values)
        looked.release()
        return claims

    monkeypatch.setattr(deliveries, "claim", look)
    settings = Settings(
        destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=104, ae_title="PACS"),),
        delivery=DeliverySettings(poll_s=POLL_S),
    )
    pacs, stop = Pacs(), threading.Event()
    thread = threading.Thread(target=Deliverer(database, settings, owner="d", connect=pacs).run, args=(stop,))
    thread.start()
    for _ in range(2):  # at the start, and when the waker listens: only a notification leads to a third look
        assert looked.acquire(timeout=PATIENCE_S)
    drafted(database, 1, ("pacs",))
    assert pacs.has_it.wait(PATIENCE_S)
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_sqlite_has_no_listener(database: Database, tmp_path: Path) -> None:
    """SQLite has no notifications: there is no listener and no thread, and nothing fails."""

    def listeners() -> int:
        return sum(thread.name == "wakeup" for thread in threading.enumerate())

    with Waker(database, JOBS, lambda: None):
        assert listeners() == 1
    opened = Database(open_engine(f"sqlite:///{tmp_path}/agent.db"))
    heard = threading.Event()
    with Waker(opened, JOBS, heard.set), opened.transaction() as session:
        notify(session, JOBS)
        assert listeners() == 0
    opened.close()
    assert not heard.is_set()

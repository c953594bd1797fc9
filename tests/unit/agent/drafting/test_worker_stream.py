"""Many studies at once in the network: none is mixed up, held back or lost."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import select, update

from agent.database.session import Database
from agent.database.states import JobState, Lane
from agent.database.tables import Document, Draft, Job
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.settings.tree import Settings, WorkerSettings
from agent.queue import jobs
from tests.support.films import chest_pixels
from tests.support.house import FakeReporter, draft
from tests.unit.agent.drafting.workers import Film, of, rows, worker


def test_worker_never_mixes_studies_whatever_is_done_first(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """Each job gets the draft of its own pixels, in whatever order the network finishes."""
    chance = Random(7)
    reporter.choose = lambda hand: chance.randrange(len(hand))
    reporter.slots, reporter.least = 5, 5
    share = chest_pixels() / 255.0
    pixels = {
        white: (255 * share ** (0.4 if white else 2.0)).astype(np.uint8).tobytes() for white in (True, False)
    }
    bright = {number: chance.random() < 0.5 for number in range(1, 21)}
    ids = {number: house.queued(film(number, PixelData=pixels[white])) for number, white in bright.items()}
    mine = worker(house, settings.model_copy(update={"worker": WorkerSettings(slots=20)}), reporter)
    assert mine.run_once() + mine.run_once() == 20
    assert [of(study) for study in reporter.asked] != [f"1.2.3.{number}" for number in sorted(bright)]
    drafts = {draft.job_id: draft for draft in rows(house.database, Draft)}
    documents = {one.draft_id: one for one in rows(house.database, Document) if one.role == "findings"}
    for number, job_id in ids.items():
        written = dcmread(io.BytesIO(documents[drafts[job_id].id].content))
        side = "left" if bright[number] else "right"
        assert side in drafts[job_id].text
        assert (written.StudyInstanceUID, written.PatientID) == (f"1.2.3.{number}", f"P{number}")


def test_worker_heartbeat_outlives_a_blocked_network(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """The lease is extended during a model call of any length: the heartbeat has its own thread."""
    # Long enough that a loaded machine does not miss three heartbeats in a row.
    short = settings.model_copy(update={"worker": WorkerSettings(lease_s=6)})
    job_id = house.queued(film(1))

    def block(_study: object) -> None:
        """Run Python code without a pause until the lease has been extended."""
        first = house.job(job_id).lease_until
        while house.job(job_id).lease_until == first:
            sum(range(10_000_000))

    taken_by_other: list[object] = []
    done = threading.Event()

    def other_worker() -> None:
        while not done.wait(0.05):
            taken_by_other.extend(jobs.claim(house.database, "w2", 60, 1))

    thread = threading.Thread(target=other_worker)
    mine = worker(house, short, reporter)
    reporter.before = lambda study: (thread.start(), block(study))  # type: ignore[func-returns-value]
    mine.run_once()
    done.set()
    thread.join()
    assert taken_by_other == []
    assert house.job(job_id).state == "DRAFTED"


def test_worker_run_finishes_what_is_in_hand_and_gives_back_the_rest(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """After a stop request the network's studies are drafted; no job stays leased or loses an attempt."""
    two_slots = settings.model_copy(update={"worker": WorkerSettings(slots=2, poll_s=0.05)})
    ids = [house.queued(film(number)) for number in range(1, 9)]
    stop = threading.Event()
    reporter.slots = 2

    def stop_after_four(_study: object) -> None:
        if len(reporter.asked) == 4:
            stop.set()

    reporter.before = stop_after_four
    worker(house, two_slots, reporter).run(stop)
    found = [house.job(job_id) for job_id in ids]
    states = [job.state for job in found]
    assert set(states) == {"DRAFTED", "QUEUED"}
    assert 5 <= states.count("DRAFTED") == len(reporter.asked) <= 7
    assert {job.attempts for job in found if job.state == "QUEUED"} == {0}
    assert all(job.lease_token is None for job in found)


def test_worker_writes_each_draft_when_it_is_done(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A slow study does not hold back the drafts of others."""
    ids = [house.queued(film(number)) for number in (1, 2, 3)]
    states: list[str] = []
    reporter.choose = lambda hand: len(hand) - 1 if len(hand) > 1 else 0

    def look_before_the_last(_study: object) -> None:
        if len(reporter.asked) == 2:
            end = time.monotonic() + 240
            while sorted(states) != ["DRAFTED", "DRAFTED", "GENERATING"] and time.monotonic() < end:
                states[:] = [house.job(job_id).state for job_id in ids]

    reporter.before = look_before_the_last
    worker(house, settings, reporter).run_once()
    assert sorted(states) == ["DRAFTED", "DRAFTED", "GENERATING"]
    assert {house.job(job_id).state for job_id in ids} == {"DRAFTED"}


def test_worker_takes_no_more_jobs_than_it_has_room_for(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A worker takes as many jobs as it has slots, and half as many prepared; others can take the rest."""
    four_slots = settings.model_copy(update={"worker": WorkerSettings(slots=4, poll_s=0.05)})
    for number in range(1, 21):
        house.queued(film(number))
    held: list[int] = []
    stop = threading.Event()

    def count(_study: object) -> None:
        with house.database.reading() as session:
            states = list(session.scalars(select(Job.state)))
        held.append(states.count("GENERATING"))
        if len(held) == 12:
            stop.set()

    reporter.before = count
    worker(house, four_slots, reporter).run(stop)
    # Finished jobs count too until they are written.
    assert max(held) <= 4 + 2 + 2 * 4


def test_worker_outlives_an_outage_of_the_database(
    house: Any, settings: Settings, reporter: Any, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database is unavailable nothing is lost: leases expire, and each job is drafted once."""
    short = WorkerSettings(slots=2, poll_s=0.05, lease_s=1.0, maximum_attempts=100)
    ids = [house.queued(film(number)) for number in (1, 2, 3)]
    healthy, answers = Database.transaction, iter([False] * 4)

    def away(database: Database) -> Any:
        if not next(answers, True):
            raise DatabaseUnavailable("away")
        return healthy(database)

    reporter.before = lambda _study: monkeypatch.setattr(Database, "transaction", away)
    stop = threading.Event()
    quick = settings.model_copy(update={"worker": short})
    thread = threading.Thread(target=worker(house, quick, reporter).run, args=(stop,))
    thread.start()
    end = time.monotonic() + 240
    while [house.job(job_id).state for job_id in ids] != ["DRAFTED"] * 3:
        assert time.monotonic() < end
        time.sleep(0.1)
        with house.database.relaxed() as session:
            session.execute(update(Job).where(Job.state == "QUEUED").values(run_after=Job.created_at))
    stop.set()
    thread.join()
    assert len(rows(house.database, Draft)) == 3


@dataclass(kw_only=True)
class FullReporter(FakeReporter):
    """Drafts nothing until it has all the old studies that it gets, and an urgent one from `send`."""

    send: Callable[[], None] = lambda: None
    full: list[str] = field(default_factory=list)

    def draft_stream(self, source: Any, *, ahead: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Draft the source's studies once it is full."""
        room = self.slots + (ahead or 0)
        hand: list[Any] = []
        for least in (room - 1, room):
            while len(hand) < least:
                hand.extend(source.take(room - len(hand), idle=True))
            if least < room:
                self.send()
        self.full = [study.key.claim.lane.value for study in hand]
        for study in hand:
            yield study.key, draft(float(study.images[0].pixels.mean()))


def test_urgent_job_is_taken_while_old_studies_fill_the_worker(
    house: Any, settings: Settings, film: Film
) -> None:
    """Old studies leave a slot free, so that a STAT study reaches the network before any of them is done."""
    two_slots = settings.model_copy(update={"worker": WorkerSettings(slots=2, poll_s=0.05)})

    def send(number: int, lane: Lane) -> None:
        job_id = house.receive(film(number))
        with house.database.transaction() as session:
            session.get_one(Job, job_id).lane = lane.value
        house.to(job_id, JobState.QUEUED)

    for number in range(1, 5):
        send(number, Lane.BACKFILL)
    reporter = FullReporter(slots=2, send=lambda: send(99, Lane.STAT))
    worker(house, two_slots, reporter).run(threading.Event())
    assert reporter.full == ["backfill", "backfill", "backfill", "stat"]
    done = [job.lane for job in rows(house.database, Job) if job.state == "DRAFTED"]
    assert sorted(done) == sorted(reporter.full)

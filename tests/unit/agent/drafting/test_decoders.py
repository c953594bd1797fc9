"""The order in which claimed jobs are prepared."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from agent.database.states import Lane
from agent.drafting.decoders import Decoders
from agent.queue.jobs import Claim
from agent.reports.material import Material

MATERIAL = Material(images=(), indication="", flags=())
PATIENCE_S = 120


def a_claim(number: int, lane: Lane, priority: int = 50) -> Claim:
    return Claim(
        job_id=number,
        token=str(number),
        study_id=number,
        study_instance_uid=f"1.2.{number}",
        revision=1,
        priority=priority,
        attempts=1,
        incomplete=False,
        lane=lane,
    )


@dataclass
class Gate:
    """Prepares jobs; those in `held` only once they are released."""

    held: frozenset[int] = frozenset()
    begun: list[int] = field(default_factory=list)
    begun_held: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    let_go: threading.Event = field(default_factory=threading.Event)

    def prepare(self, claim: Claim) -> Material:
        self.begun.append(claim.job_id)
        if claim.job_id in self.held:
            self.begun_held.release()
            assert self.let_go.wait(PATIENCE_S)
        if claim.job_id == 99:
            raise ValueError("unreadable")
        return MATERIAL


def test_urgent_job_goes_before_those_that_wait() -> None:
    """Order: lane, then priority, then arrival; a job that has begun is finished."""
    gate = Gate(held=frozenset({1}))
    decoders = Decoders(gate.prepare, 1)
    futures = [decoders.submit(a_claim(1, Lane.BACKFILL))]
    assert gate.begun_held.acquire(timeout=PATIENCE_S)
    waiting = [(2, Lane.BACKFILL, 50), (3, Lane.ROUTINE, 50), (4, Lane.ROUTINE, 10), (5, Lane.STAT, 0)]
    futures += [decoders.submit(a_claim(number, lane, priority)) for number, lane, priority in waiting]
    gate.let_go.set()
    assert [future.result(PATIENCE_S) for future in futures] == [MATERIAL] * 5
    decoders.shutdown()
    assert gate.begun == [1, 5, 4, 3, 2]


def test_old_studies_leave_one_thread_free() -> None:
    """An urgent job begins while old studies are being decoded and others wait."""
    gate = Gate(held=frozenset({1, 2, 3}))
    decoders = Decoders(gate.prepare, 2)
    old = [decoders.submit(a_claim(number, lane)) for number, lane in ((1, Lane.BACKFILL), (2, Lane.SHADOW))]
    assert gate.begun_held.acquire(timeout=PATIENCE_S)
    assert decoders.submit(a_claim(4, Lane.STAT, 0)).result(PATIENCE_S) is MATERIAL
    assert len(gate.begun) == 2
    gate.let_go.set()
    assert [future.result(PATIENCE_S) for future in old] == [MATERIAL] * 2
    decoders.shutdown()


def test_error_is_the_jobs_own_and_what_waits_at_the_end_is_cancelled() -> None:
    """A job that cannot be prepared stops no thread; after a shutdown no job begins."""
    gate = Gate(held=frozenset({1}))
    decoders = Decoders(gate.prepare, 1)
    with pytest.raises(ValueError, match="unreadable"):
        decoders.submit(a_claim(99, Lane.ROUTINE)).result(PATIENCE_S)
    running = decoders.submit(a_claim(1, Lane.ROUTINE))
    assert gate.begun_held.acquire(timeout=PATIENCE_S)
    waiting = decoders.submit(a_claim(2, Lane.ROUTINE))
    ending = threading.Thread(target=decoders.shutdown)
    ending.start()
    waiting.add_done_callback(lambda _future: gate.let_go.set())
    ending.join(PATIENCE_S)
    assert (running.result(0), waiting.cancelled(), gate.begun) == (MATERIAL, True, [99, 1])

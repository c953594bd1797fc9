"""All the ways in which drafting a study can fail: each is reported, and affects no other study."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from agent.database.tables import Draft, Job
from agent.foundation.errors import NetworkFailed
from agent.foundation.settings.tree import Settings
from agent.queue import jobs
from agent.reports.material import gather
from model.errors import OutOfMemoryError, PromptError
from tests.unit.agent.drafting.workers import Film, of, rows, worker


def test_worker_unreadable_image_fails_visibly(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A study whose image cannot be decoded is FAILED at once, and the others are drafted."""
    bad, good = house.queued(film(1, BitsStored=4, HighBit=2)), house.queued(film(2))
    assert worker(house, settings, reporter).run_once() == 2
    assert (house.job(bad).state, house.job(bad).code) == ("FAILED", "image-unreadable")
    assert "CANARY" not in str(house.job(bad).reason)
    assert house.job(good).state == "DRAFTED"


def test_worker_missing_file_fails_visibly(house: Any, settings: Settings, reporter: Any, film: Film) -> None:
    """A row without its file is reported as an error, and does not crash the worker."""
    job_id = house.queued(film(1))
    for path in house.store.path.rglob("*.dcm"):
        path.unlink()
    worker(house, settings, reporter).run_once()
    assert (house.job(job_id).state, house.job(job_id).code) == ("FAILED", "instance-missing")


def test_worker_model_failure_is_tried_again_then_dead(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """After a retryable error the job is queued again; when the attempts are used up, it is DEAD."""

    def out_of_memory(_study: object) -> None:
        raise OutOfMemoryError

    reporter.before = out_of_memory
    job_id = house.queued(film(1))
    for expected in ("QUEUED", "QUEUED", "DEAD"):
        with house.database.transaction() as session:
            session.execute(update(Job).values(run_after=Job.created_at))
        worker(house, settings, reporter).run_once()
        assert house.job(job_id).state == expected
    assert (house.job(job_id).attempts, house.job(job_id).code) == (3, "out_of_memory")


@pytest.mark.parametrize(
    ("error", "state"), [(PromptError("no"), "FAILED"), (ZeroDivisionError("no"), "QUEUED")]
)
def test_worker_poison_study_takes_no_other_along(
    house: Any, settings: Settings, reporter: Any, film: Film, error: Exception, state: str
) -> None:
    """Neither a study's own error nor one that breaks the whole stream affects the other studies."""

    def refuse_the_second(study: Any) -> None:
        if of(study) == "1.2.3.2":
            raise error

    reporter.before = refuse_the_second
    ids = [house.queued(film(number)) for number in (1, 2, 3)]
    worker(house, settings, reporter).run_once()
    assert [house.job(job_id).state for job_id in ids] == ["DRAFTED", state, "DRAFTED"]


def test_worker_with_a_broken_network_ends_and_spares_the_queue(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """The third failure in a row is the network's: its job and the waiting one lose no attempt."""

    def break_down(_study: object) -> None:
        raise ZeroDivisionError

    reporter.before = break_down
    ids = [house.queued(film(number)) for number in range(1, 5)]
    with pytest.raises(NetworkFailed):
        worker(house, settings, reporter).run_once()
    assert [house.job(job_id).state for job_id in ids] == ["QUEUED"] * 4
    assert sorted(house.job(job_id).attempts for job_id in ids) == [0, 0, 1, 1]


def test_worker_refuses_to_write_under_another_study(
    house: Any, settings: Settings, reporter: Any, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of another study than the job's are detected before anything is written."""
    house.queued(film(1))
    wrong = gather(house.database, house.store, settings, *jobs.claim(house.database, "x", 60, 1))
    job_id = house.queued(film(2))
    monkeypatch.setattr("agent.drafting.worker.gather", lambda *_arguments: wrong)
    worker(house, settings, reporter).run_once()
    assert (house.job(job_id).state, house.job(job_id).code) == ("FAILED", "study-mixed-up")
    assert rows(house.database, Draft) == []


def test_worker_foreign_exception_keeps_only_its_type(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A library's message may quote patient data, so that only the exception's type is stored."""

    def explode(_study: object) -> None:
        raise ZeroDivisionError("CANARY^PATIENT")

    reporter.before = explode
    job_id = house.queued(film(1))
    worker(house, settings, reporter).run_once()
    job = house.job(job_id)
    assert (job.state, job.code) == ("QUEUED", "unexpected")
    assert "ZeroDivisionError" in str(job.reason)
    assert "CANARY" not in str(job.reason)


def test_worker_that_lost_its_lease_writes_nothing(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """If another worker takes the job over while the network runs, this result is discarded."""
    job_id = house.queued(film(1))

    def lose_the_lease(_study: object) -> None:
        with house.database.transaction() as session:
            session.execute(update(Job).values(lease_until=Job.created_at))
        jobs.reclaim_expired(house.database)
        with house.database.transaction() as session:
            session.execute(update(Job).values(run_after=Job.created_at))
        assert len(jobs.claim(house.database, "w2", 60, 1)) == 1

    reporter.before = lose_the_lease
    worker(house, settings, reporter).run_once()
    assert rows(house.database, Draft) == []
    assert (house.job(job_id).state, house.job(job_id).lease_owner) == ("GENERATING", "w2")

"""Rules of completion: when a study is complete, and where its job goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Job, JobEvent, Study
from agent.foundation.settings.tree import Settings, StudySettings
from agent.objects.header import read_header
from agent.objects.store import InstanceStore, part10_head
from agent.queue import jobs
from agent.receive.intake import Intake
from agent.service.ticks import Housekeeper, complete_due_studies
from tests.support.queue_processes import expire
from tests.support.waiting import wait_for

ChestBytes = Callable[..., bytes]
EXPLICIT = "1.2.840.10008.1.2.1"
SETTINGS = Settings(studies=StudySettings(quiet_time_s=60, stat_quiet_time_s=10, force_after_s=100))


class Site:
    """A store and an intake, with methods to send an image and to run a tick."""

    def __init__(self, database: Database, store: InstanceStore, make: ChestBytes) -> None:
        self.database = database
        self.store = store
        self.intake = Intake(database, SETTINGS.studies)
        self._make = make

    def send(self, **changes: Any) -> None:
        """Store one image and enter it at the intake."""
        dataset = self._make(**changes)
        header = read_header(dataset, EXPLICIT)
        head = part10_head(header.sop_class_uid, header.sop_instance_uid, EXPLICIT)
        self.intake.receive(header, self.store.put((head, dataset)), "CR")

    def tick(self, after_s: float) -> list[tuple[str, str | None]]:
        """Complete the studies due some seconds after the last image; return each job's state and code."""
        with self.database.reading() as session:
            now = max(session.scalars(select(Study.last_received_at))) + timedelta(seconds=after_s)
        done = complete_due_studies(self.database, SETTINGS, self.store, now)
        return [(one.state.value, one.code) for one in done]

    def job(self) -> Job:
        """The newest job."""
        with self.database.transaction() as session:
            return session.scalars(select(Job).order_by(Job.id.desc()).limit(1)).one()


@pytest.fixture
def site(database: Database, tmp_path: Path, chest_bytes: ChestBytes) -> Site:
    """An empty site."""
    return Site(database, InstanceStore(tmp_path / "instances", 0), chest_bytes)


def test_quiet_study_is_queued(site: Site) -> None:
    """A chest study is queued once its quiet time has passed, and not before."""
    site.send()
    assert site.tick(59) == []
    assert site.tick(61) == [("QUEUED", None)]
    assert site.tick(62) == []
    job = site.job()
    assert (job.state, job.incomplete, job.reason) == (
        "QUEUED",
        False,
        "1 image(s) accepted by rule 'chest-body-part'",
    )


def test_forced_study_is_queued_as_incomplete(site: Site) -> None:
    """A study that never goes quiet is drafted at force_at, and the draft says so."""
    site.send()
    site.intake.hold(["1.2.3"], 1000)
    assert site.tick(99) == []
    assert site.tick(101) == [("QUEUED", None)]
    assert site.job().incomplete is True


def test_study_without_an_eligible_image_is_skipped_by_a_rule(site: Site) -> None:
    """A hip is not a chest; the code is the name of the rule."""
    site.send(BodyPartExamined="HIP")
    assert site.tick(61) == [("SKIPPED", "other-body-part")]
    assert site.job().reason == "1 image(s) skipped by rule 'other-body-part'"


def test_study_of_two_patients_fails_visibly(site: Site) -> None:
    """A study with two patients is never drafted."""
    site.send()
    site.send(SOPInstanceUID="1.2.3.1.2", PatientID="P2")
    assert site.tick(61) == [("FAILED", "patient-conflict")]
    with site.database.transaction() as session:
        states = session.scalars(select(JobEvent.to_state).order_by(JobEvent.id)).all()
    assert states == ["RECEIVING", "FAILED"]


def test_study_whose_file_is_gone_fails_visibly(site: Site) -> None:
    """A file that cannot be read again is a failure with its own code, not a skip."""
    site.send()
    (sha256,) = site.store.files()
    site.store.discard(sha256)
    assert site.tick(61) == [("FAILED", "instance-missing")]


def test_newest_content_of_an_instance_decides(site: Site) -> None:
    """If an instance arrived twice, its later content decides eligibility."""
    site.send(BodyPartExamined="HIP")
    site.send(BodyPartExamined="CHEST")
    assert site.tick(61) == [("QUEUED", None)]
    assert site.job().revision == 2


def test_stat_study_completes_sooner(site: Site) -> None:
    """The shorter quiet time applies: the routine study, which came earlier, is not due yet."""
    site.send()
    site.send(
        StudyInstanceUID="1.2.4", SOPInstanceUID="1.2.4.1", PatientID="P2", RequestedProcedurePriority="STAT"
    )
    assert site.tick(11) == [("QUEUED", None)]
    assert site.job().priority == 0


def test_housekeeper_ticks_and_reclaims(site: Site) -> None:
    """The running housekeeper completes a study and reclaims an expired lease, then stops."""
    site.send()
    with site.database.transaction() as session:
        job = session.scalars(select(Job)).one()
        job.due_at = database_now(session)
    keeper = Housekeeper(site.database, SETTINGS, site.store, Random(1))
    keeper.start()
    try:
        wait_for(lambda: site.job().state == "QUEUED")
        assert len(jobs.claim(site.database, "worker", 60, 1)) == 1
        expire(site.database)
        keeper.reclaim()
        assert site.job().state == "QUEUED"
    finally:
        keeper.stop()


def test_housekeeper_outlives_a_failing_tick(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failing tick the next one still runs."""
    calls: list[int] = []

    def failing(*_: object, **__: object) -> list[Any]:
        calls.append(1)
        raise ValueError("a foreign error")

    monkeypatch.setattr("agent.service.ticks.complete_due_studies", failing)
    settings = Settings(studies=StudySettings(quiet_time_s=0.1))
    keeper = Housekeeper(site.database, settings, site.store, Random(1))
    keeper.start()
    try:
        wait_for(lambda: len(calls) >= 2)
    finally:
        keeper.stop()

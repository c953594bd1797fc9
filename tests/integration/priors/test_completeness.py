"""A study of which the archive holds more images waits for them, but not indefinitely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage
from sqlalchemy import select

from agent.commands.demo.orthanc import Orthanc, free_ports
from agent.database.session import Database, database_now
from agent.database.tables import AuditEvent, Job, JobEvent
from agent.foundation.failure import RetryPolicy
from agent.foundation.settings.tree import ArchiveSettings, Settings, StudySettings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore
from agent.receive.archive_count import ArchiveCount
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from tests.integration.priors.site import FakeArchive, film, report
from tests.support.films import file_bytes

pytestmark = pytest.mark.integration
Keep = Callable[..., None]


@dataclass(kw_only=True)
class Ward:
    """A store, a database and an archive to query."""

    database: Database
    store: InstanceStore
    settings: Settings
    archive: ArchiveCount

    def receive(self, *datasets: Dataset) -> None:
        """Enter images as the listener does."""
        intake = Intake(self.database, self.settings.studies)
        for dataset in datasets:
            file = self.store.put([file_bytes(dataset)])
            intake.receive(read_stored(self.store.open(file.sha256)), file, "CR")

    def tick(self, *, after_s: float = 61.0) -> list[tuple[str, str | None]]:
        """Complete what is due this many seconds from now."""
        with self.database.reading() as session:
            now = database_now(session) + timedelta(seconds=after_s)
        done = complete_due_studies(self.database, self.settings, self.store, now, archive=self.archive)
        return [(one.state.value, one.reason) for one in done]

    def job(self) -> Job:
        """The newest job."""
        with self.database.reading() as session:
            return session.scalars(select(Job).order_by(Job.id.desc()).limit(1)).one()

    def events(self) -> list[tuple[str, str | None]]:
        """The newest job's history."""
        with self.database.reading() as session:
            rows = session.scalars(
                select(JobEvent).where(JobEvent.job_id == self.job().id).order_by(JobEvent.id)
            )
            return [(row.to_state, row.code) for row in rows]


@pytest.fixture
def ward(database: Database, tmp_path: Path) -> Callable[[ArchiveSettings], Ward]:
    """Make a ward with the given archive."""

    def make(archive: ArchiveSettings) -> Ward:
        settings = Settings(
            studies=StudySettings(quiet_time_s=60, force_after_s=600, reconcile_with="archive"),
            archive=archive,
        )
        store = InstanceStore(tmp_path / "instances", 0)
        count = ArchiveCount(settings, Random(1))
        return Ward(database=database, store=store, settings=settings, archive=count)

    return make


@pytest.fixture
def beside_orthanc(ward: Any, orthanc: Orthanc) -> Ward:
    """A ward whose archive is a real Orthanc."""
    orthanc.put("/modalities/agent", ["ECHO_AGENT", "127.0.0.1", free_ports(1)[0]])
    made: Ward = ward(ArchiveSettings(host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title))
    return made


def test_study_waits_for_what_orthanc_holds_more(beside_orthanc: Ward, archived: Keep) -> None:
    """With one of two images here, the study stays RECEIVING, says why once, and proceeds with the second."""
    frontal, lateral = film("COUNT-1/now"), film("COUNT-1/now", 2)
    archived(frontal, lateral)
    beside_orthanc.receive(frontal)
    assert beside_orthanc.tick() == []
    assert beside_orthanc.tick(after_s=130) == []
    assert beside_orthanc.events() == [("RECEIVING", None), ("RECEIVING", "archive-holds-more")]
    beside_orthanc.receive(lateral)
    assert beside_orthanc.tick(after_s=200) == [("QUEUED", "2 image(s) accepted by rule 'chest-body-part'")]
    assert beside_orthanc.job().incomplete is False


def test_forced_study_says_what_the_archive_holds_more(beside_orthanc: Ward, archived: Keep) -> None:
    """At force_at the study is drafted as incomplete, with the number of missing images."""
    frontal, lateral = film("COUNT-2/now"), film("COUNT-2/now", 2)
    archived(frontal, lateral)
    beside_orthanc.receive(frontal)
    assert beside_orthanc.tick() == []
    reason = "1 image(s) accepted by rule 'chest-body-part'; the archive holds 1 more"
    assert beside_orthanc.tick(after_s=601) == [("QUEUED", reason)]
    assert (beside_orthanc.job().incomplete, beside_orthanc.job().code) == (True, None)


def test_reports_in_the_archive_are_not_waited_for(beside_orthanc: Ward, archived: Keep) -> None:
    """Only images that a rule may accept count; our own report in the archive does not."""
    frontal = film("COUNT-3/now")
    archived(frontal, report(frontal, "Clear."))
    beside_orthanc.receive(frontal)
    assert beside_orthanc.tick() == [("QUEUED", "1 image(s) accepted by rule 'chest-body-part'")]


def test_study_that_the_archive_does_not_know_goes_on(beside_orthanc: Ward) -> None:
    """A modality may send to us before it sends to the archive."""
    beside_orthanc.receive(film("COUNT-4/now"))
    assert [state for state, _ in beside_orthanc.tick()] == ["QUEUED"]


def test_archive_that_is_down_holds_nothing_up(ward: Any) -> None:
    """The study proceeds, and its history says that the archive could not be asked."""
    place = ward(ArchiveSettings(host="127.0.0.1", port=free_ports(1)[0]))
    reason = (
        "1 image(s) accepted by rule 'chest-body-part'; the archive could not be asked for more: "
        "archive-unavailable"
    )
    for number in range(4):
        place.receive(film(f"COUNT-5-{number}/now"))
        assert place.tick() == [("QUEUED", reason)]


def test_archive_that_fails_again_and_again_is_not_asked(ward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three failures in a row no query reaches the archive for a while, and studies proceed."""
    monkeypatch.setattr("agent.receive.archive_count.QUERY_PAUSES", RetryPolicy(first_s=3600, longest_s=3600))
    asked: list[int] = []
    with FakeArchive(find_status=0xA900, before_find=lambda: asked.append(1)).running() as settings:
        place = ward(settings)
        for number in range(5):
            place.receive(film(f"COUNT-9-{number}/now"))
            assert [state for state, _ in place.tick()] == ["QUEUED"]
    assert len(asked) == 3


def test_skipped_study_asks_nobody(ward: Any) -> None:
    """A hip study is skipped, however many images the archive has."""
    place = ward(ArchiveSettings(host="127.0.0.1", port=free_ports(1)[0]))
    place.receive(film("COUNT-6/now", BodyPartExamined="HIP"))
    assert place.tick() == [("SKIPPED", "1 image(s) skipped by rule 'other-body-part'")]


def test_image_of_a_class_that_is_not_taken_is_not_waited_for(ward: Any) -> None:
    """An object that the listener would refuse is not waited for."""
    frontal, other = film("COUNT-7/now"), film("COUNT-7/now", 2, SOPClassUID=BasicTextSRStorage)
    with FakeArchive(answers=[frontal, other]).running() as settings:
        place = ward(settings)
        place.receive(frontal)
        assert [state for state, _ in place.tick()] == ["QUEUED"]


def test_wait_is_audited_as_a_query(ward: Any) -> None:
    """The query about a patient's study is audited."""
    frontal, lateral = film("COUNT-8/now"), film("COUNT-8/now", 2)
    with FakeArchive(answers=[frontal, lateral]).running() as settings:
        place = ward(settings)
        place.receive(frontal)
        assert place.tick() == []
    with place.database.reading() as session:
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "query")).all()
    assert event.details == {"query": "IMAGE", "count": 1}

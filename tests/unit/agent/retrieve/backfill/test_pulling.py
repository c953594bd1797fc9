"""The retrieval of one study after the other, from a fake archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from agent.database.backfill import BackfillSlice, BackfillStudy
from agent.database.session import Database
from agent.database.tables import AuditEvent
from agent.foundation.errors import AgentError, ArchiveRefused
from agent.foundation.settings.tree import ArchiveSettings, BackfillSettings, Settings
from agent.network.query_scu import FoundSeries, StudyList
from agent.retrieve.backfill.planning import make_plan
from agent.retrieve.backfill.pulling import Puller
from agent.retrieve.backfill.slices import DateSlice
from tests.unit.agent.retrieve.backfill.test_claims import DAY, found
from tests.unit.agent.rows import add_job, add_study

ARCHIVE = ArchiveSettings(host="192.0.2.7", port=104, ae_title="PACS")
CHEST = FoundSeries(series_instance_uid="1.2.3", modality="DX", instances=0)
HAND = FoundSeries(series_instance_uid="1.2.4", modality="DX", instances=1, body_part_examined="HAND")
LOST = FoundSeries(series_instance_uid="1.2.5", modality="DX", instances=1)


@dataclass(kw_only=True)
class FakeArchive:
    """Has these series for every study, and answers a retrieval as `answer` does."""

    contents: Callable[[str], list[FoundSeries]]
    answer: Callable[[str], None] = lambda uid: None
    retrieved: list[str] = field(default_factory=list)

    @contextmanager
    def opened(self) -> Iterator[FakeArchive]:
        """Serve as the connection too."""
        yield self

    def list_studies(self, dates: DateSlice) -> StudyList:
        """List nothing."""
        return StudyList(studies=(), cut_off=False)

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """Return the series of a study."""
        return self.contents(study_instance_uid)

    def retrieve(self, study_instance_uid: str, series_instance_uid: str) -> None:
        """Record the requested study."""
        self.retrieved.append(study_instance_uid)
        self.answer(study_instance_uid)


def puller(database: Database, archive: FakeArchive, **values: Any) -> Puller:
    fast = {"studies_per_minute": 60_000, "first_retry_s": 0.01, "longest_retry_s": 0.01} | values
    settings = Settings(archive=ARCHIVE, backfill=BackfillSettings(enabled=True, **fast))
    return Puller(database, settings, archive, Random(1))  # type: ignore[arg-type]


def step(database: Database, one: Puller) -> Any:
    """Retrieve the next study, whatever time it waits for."""
    with database.transaction() as session:
        for row in session.scalars(select(BackfillStudy)):
            row.run_after = row.run_after - timedelta(hours=1)
            if row.asked_at is not None:
                row.asked_at = row.asked_at - timedelta(hours=1)
    return one.step()


def states(database: Database) -> list[tuple[str, str | None]]:
    with database.reading() as session:
        return [
            (row.state, row.code) for row in session.scalars(select(BackfillStudy).order_by(BackfillStudy.id))
        ]


def refuse(uid: str) -> None:
    raise ArchiveRefused("the archive answered the C-MOVE with 0xA801")


def test_what_the_archive_is_asked_for_stands_in_the_audit(database: Database) -> None:
    """Each study is one audited query with its outcome, and without any attribute of a patient."""
    found(database, 3)
    series: dict[str, list[FoundSeries]] = {"1.2.0": [CHEST], "1.2.1": [HAND], "1.2.2": []}
    one = puller(database, FakeArchive(contents=lambda uid: series[uid]))
    for _ in range(3):
        assert step(database, one) is None
    with database.reading() as session:
        events = list(session.scalars(select(AuditEvent).order_by(AuditEvent.id)))
    assert [(event.action, event.actor, event.address) for event in events] == [
        ("query", "backfill", "192.0.2.7")
    ] * 3
    assert sorted(event.details.get("code", "") for event in events) == sorted(
        code or "" for _state, code in states(database)
    )


def test_study_that_fails_alone_is_dead_after_its_attempts(database: Database) -> None:
    """Its reason is recorded, and the others are retrieved."""
    found(database, 2)

    def answer(uid: str) -> None:
        if uid == "1.2.0":
            refuse(uid)

    one = puller(
        database, FakeArchive(contents=lambda uid: [CHEST if uid == "1.2.1" else LOST], answer=answer)
    )
    for _ in range(7):
        assert not isinstance(step(database, one), AgentError)
    assert states(database) == [("DEAD", "archive-refused"), ("PULLED", None)]


def test_archive_that_refuses_every_study_is_left_alone(database: Database) -> None:
    """An archive that does not know our AE title must not use up the attempts of a whole plan."""
    found(database, 6)
    archive = FakeArchive(contents=lambda uid: [LOST], answer=refuse)
    one = puller(database, archive, maximum_attempts=1)
    outcomes = [step(database, one) for _ in range(6)]
    assert [isinstance(outcome, AgentError) for outcome in outcomes] == [False] * 4 + [True] * 2
    assert [state for state, _code in states(database)] == ["DEAD"] * 4 + ["FOUND"] * 2


def test_success_ends_the_suspicion(database: Database) -> None:
    """Failures with a retrieved study between them are failures of single studies."""
    found(database, 8)
    bad = {f"1.2.{number}" for number in (0, 1, 2, 3, 5, 6, 7)}

    def answer(uid: str) -> None:
        if uid in bad:
            refuse(uid)

    archive = FakeArchive(contents=lambda uid: [LOST if uid in bad else CHEST], answer=answer)
    one = puller(database, archive, maximum_attempts=1)
    outcomes = [step(database, one) for _ in range(8)]
    assert not any(isinstance(outcome, AgentError) for outcome in outcomes)


@pytest.mark.parametrize("series", [[], [HAND]])
def test_study_without_a_candidate_is_not_retrieved(database: Database, series: list[FoundSeries]) -> None:
    """Nothing is transferred that would certainly be skipped."""
    found(database, 1)
    archive = FakeArchive(contents=lambda uid: series)
    step(database, puller(database, archive))
    assert archive.retrieved == []
    with database.reading() as session:
        assert session.scalars(select(BackfillSlice.state)).one() == "OPEN"


@pytest.mark.parametrize(
    ("job", "code"), [("DELIVERED", None), ("RECEIVING", None), ("DEAD", "backfill-job-dead")]
)
def test_study_that_was_sent_to_us_is_not_retrieved_and_a_dead_job_is_named(
    database: Database, job: str, code: str | None
) -> None:
    """A study whose draft has failed for good is left to a person."""
    now = found(database, 1)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.2.0", at=now), job, at=now)
    archive = FakeArchive(contents=lambda uid: [LOST])
    step(database, puller(database, archive))
    assert (archive.retrieved, states(database)) == ([], [("KNOWN", code)])


@pytest.mark.parametrize("job", ["RECEIVING", "DRAFTED", "DEAD"])
def test_study_of_which_an_earlier_plan_retrieved_a_part_is_completed(database: Database, job: str) -> None:
    """Planned again, its missing series are retrieved, whatever the state of the first part's job."""
    now = found(database, 1)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.2.0", at=now), job, at=now, lane="backfill")
        session.scalars(select(BackfillStudy)).one().state = "DEAD"
    make_plan(database, BackfillSettings(), DAY, DAY, again=True)
    archive = FakeArchive(contents=lambda uid: [LOST, CHEST])
    step(database, puller(database, archive))
    assert archive.retrieved == ["1.2.0"]

"""The results of a query by date are entered once, a few rows at a time, and a person's stop holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from threading import Event
from typing import Any

from sqlalchemy import func, select

from agent.database.backfill import BackfillSlice, BackfillStudy
from agent.database.session import Database
from agent.foundation.settings.tree import ArchiveSettings, BackfillSettings, Settings
from agent.network.query_scu import ListedStudy, StudyList
from agent.retrieve.backfill.enumeration import Enumerator
from agent.retrieve.backfill.planning import go, make_plan, stop
from agent.retrieve.backfill.runner import Runner
from agent.retrieve.backfill.slices import DateSlice
from tests.unit.agent.retrieve.backfill.test_claims import DAY

PATIENCE_S = 120
SETTINGS = Settings(
    archive=ArchiveSettings(host="192.0.2.7", port=104, ae_title="PACS"),
    backfill=BackfillSettings(
        enabled=True,
        modalities=("DX",),
        answer_limit=10_000,
        studies_per_minute=60_000,
        queries_per_minute=60_000,
        in_flight=1,
    ),
)


@dataclass(kw_only=True)
class ListingArchive:
    """Lists this many studies for any day, none of them chest films; `then` is called before it answers."""

    count: int
    then: Callable[[], None] = lambda: None
    asked: list[DateSlice] = field(default_factory=list)

    def list_studies(self, dates: DateSlice) -> StudyList:
        """List them."""
        self.asked.append(dates)
        self.then()
        studies = tuple(
            ListedStudy(study_instance_uid=f"1.2.{number}", study_description="", modalities=("CT",))
            for number in range(self.count)
        )
        return StudyList(studies=studies, cut_off=False)


def entered(database: Database) -> tuple[int, str, int | None]:
    """The studies entered, and the state and answer count of the only slice."""
    with database.reading() as session:
        row = session.scalars(select(BackfillSlice)).one()
        return session.scalar(select(func.count(BackfillStudy.id))) or 0, row.state, row.answers


def enumerator(database: Database, archive: ListingArchive) -> Enumerator:
    return Enumerator(database, SETTINGS, archive, Random(1))  # type: ignore[arg-type]


def test_answer_of_several_batches_is_entered_whole(database: Database) -> None:
    """Every study of a long answer becomes a row, and the slice ends with the last of them."""
    make_plan(database, SETTINGS.backfill, DAY, DAY)
    assert enumerator(database, ListingArchive(count=451)).step() is None
    assert entered(database) == (451, "DONE", 451)


def test_answer_that_comes_after_a_drop_is_discarded(database: Database) -> None:
    """If a person dropped the plan while the archive was answering, no study of it is retrieved later."""
    make_plan(database, SETTINGS.backfill, DAY, DAY)
    archive = ListingArchive(count=451, then=lambda: _drop(database))
    assert enumerator(database, archive).step() is None
    assert entered(database) == (0, "DROPPED", None)


def test_service_waits_for_the_end_of_a_stop(database: Database) -> None:
    """With `follow` a stopped backfill sends no requests, keeps running, and continues when it is resumed."""
    make_plan(database, SETTINGS.backfill, DAY, DAY)
    stop(database)
    archive, ending = ListingArchive(count=1), Event()
    runner: Any = Runner(database, SETTINGS, archive, chance=Random(1))  # type: ignore[arg-type]
    running = threading.Thread(target=runner.run, args=(ending,), kwargs={"follow": True})
    running.start()
    assert wait_for(lambda: runner.about()["waits_for"] == "stopped")
    assert (archive.asked, running.is_alive()) == ([], True)
    go(database)
    assert wait_for(lambda: entered(database)[1] == "DONE")
    ending.set()
    running.join(PATIENCE_S)
    assert not running.is_alive()


def test_run_by_hand_ends_at_a_stop(database: Database) -> None:
    """Without `follow` the command returns."""
    make_plan(database, SETTINGS.backfill, DAY, DAY)
    stop(database)
    archive = ListingArchive(count=1)
    Runner(database, SETTINGS, archive, chance=Random(1)).run(Event())  # type: ignore[arg-type]
    assert archive.asked == []


def _drop(database: Database) -> None:
    stop(database, drop=True)


def wait_for(true: Callable[[], bool]) -> bool:
    """Poll until the condition is true."""
    looking = Event()
    for _ in range(PATIENCE_S * 20):
        if true():
            return True
        looking.wait(0.05)
    return False

"""The purge of files: rows stay, needed files stay, and the next start repairs an interrupted purge."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from agent.database.session import Database, database_now
from agent.database.tables import AuditEvent, Delivery, Draft, Instance, Job, PriorLink, Quarantined, Study
from agent.database.unneeded_files import erase
from agent.foundation.failpoints import PURGING, VARIABLE
from agent.foundation.settings.tree import Settings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore, StoredFile, part10_head
from agent.operations.retention.purge import Purge, Purged
from agent.operations.retention.rules import Reason
from agent.receive.intake import Intake, IntakeOutcome
from agent.receive.reconcile_files import reconcile
from agent.service.ticks import complete_due_studies
from tests.support.warm_python import warm_run
from tests.unit.agent.rows import add_draft, now_of

ChestBytes = Callable[..., bytes]
CR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2.1"
OLD = timedelta(days=40)


class House:
    """A store, an intake, and studies that were drafted and delivered long ago."""

    def __init__(self, database: Database, folder: Path, chest_bytes: ChestBytes) -> None:
        self.database = database
        self.store = InstanceStore(folder / "instances", 0)
        self.settings = Settings()
        self.intake = Intake(database, self.settings.studies)
        self.free_mb = 1e6
        self._chest_bytes = chest_bytes

    def receive(self, number: int, *, image: int = 1, **changes: Any) -> tuple[StoredFile, IntakeOutcome]:
        """Receive an image of a study."""
        uid = f"1.2.{number}.1.{image}"
        dataset = self._chest_bytes(SOPInstanceUID=uid, StudyInstanceUID=f"1.2.{number}", **changes)
        file = self.store.put((part10_head(CR, uid, EXPLICIT), dataset))
        return file, self.intake.receive(read_stored(self.store.open(file.sha256)), file, "CR1").outcome

    def delivered(
        self, number: int, *, state: str = "COMMITTED", days: float = 40, images: int = 1
    ) -> list[str]:
        """Receive a study and make it one that was delivered `days` ago; return the digests of its files."""
        files = [self.receive(number, image=image + 1)[0].sha256 for image in range(images)]
        at = now_of(self.database) - timedelta(days=days)
        with self.database.transaction() as session:
            study = session.scalars(select(Study).where(Study.study_instance_uid == f"1.2.{number}")).one()
            job = session.scalars(select(Job).where(Job.study_id == study.id)).one()
            add_draft(session, job, at=at, stored_after_s=1, delivery_state=state)
            study.last_received_at = job.updated_at = at
            job.state = "DELIVERED"
        return files

    def purge(self, **retention: Any) -> Purge:
        """The purge with these settings."""
        settings = Settings(
            retention={"keep_days": 30} | retention,
            storage={"min_free_mb": 0},
            destinations=[{"name": "pacs", "host": "127.0.0.1", "commitment": True}],
        )
        return Purge(self.database, settings, self.store, lambda: self.free_mb, actor="test")

    def files(self) -> set[str]:
        """The digests of the files in the store."""
        return set(self.store.files())


@pytest.fixture
def house(database: Database, tmp_path: Path, chest_bytes: ChestBytes) -> House:
    """A house without studies."""
    return House(database, tmp_path, chest_bytes)


def reasons(purge: Purge) -> list[Reason]:
    """The reason why each study goes or stays."""
    return [one.reason for one in purge.plan()]


def test_committed_study_is_purged_and_its_rows_stay(house: House) -> None:
    """Files go; rows record when; an audit event records who, why and how much; other studies stay."""
    house.delivered(1, images=2)
    young = house.delivered(2, days=1)
    stored = house.delivered(3, state="STORED")
    done = house.purge().run()
    assert (done.studies, done.files) == (1, 2)
    assert house.files() == {*young, *stored}
    with house.database.reading() as session:
        rows = session.execute(
            select(Instance.study_id, Instance.purged_at.is_not(None)).order_by(Instance.id)
        ).all()
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "purge")).one()
        drafts = session.scalars(select(Draft.study_id)).all()
    assert [tuple(row) for row in rows] == [(1, True), (1, True), (2, False), (3, False)]
    assert (event.action, event.actor, event.study_id) == ("purge", "test", 1)
    assert event.details == {"code": "old", "purged_files": 2, "purged_bytes": done.size_bytes}
    assert drafts == [1, 2, 3]
    assert house.purge().run() == Purged(studies=0, files=0, size_bytes=0, quarantined=0)


def test_plan_changes_nothing_and_says_why(house: House) -> None:
    """A dry run only reports the reason for each study."""
    house.delivered(1)
    house.delivered(2, days=1)
    house.delivered(3, state="STORED")
    house.receive(4)
    before = house.files()
    assert reasons(house.purge()) == [
        Reason.OLD,
        Reason.TOO_YOUNG,
        Reason.NOT_COMMITTED,
        Reason.UNFINISHED,
    ]
    assert house.files() == before
    with house.database.reading() as session:
        assert session.scalars(select(Instance.id).where(Instance.purged_at.is_not(None))).all() == []


def test_full_disk_takes_the_oldest_until_enough_is_free(house: House) -> None:
    """Studies that may be purged go in the order of their arrival, and no more than needed."""
    kept = [house.delivered(number, days=5) for number in range(1, 5)]
    house.free_mb = 999.9995
    purge = house.purge(keep_days=None, free_space_mb=1000)
    with house.database.reading() as session:
        size_mb = session.scalars(select(Instance.size_bytes)).first() / 1e6
    assert 0.0005 / size_mb < 2
    assert reasons(purge)[:1] == [Reason.SPACE]
    assert reasons(purge)[-1] is Reason.NO_RULE

    class Shrinking:
        def __init__(self) -> None:
            self.asked = 0

        def __call__(self) -> float:
            self.asked += 1
            return 900.0 if len(house.files()) > 2 else 1100.0

    purge = Purge(
        house.database,
        Settings(
            retention={"free_space_mb": 1000},
            storage={"min_free_mb": 0},
            destinations=[{"name": "pacs", "host": "127.0.0.1", "commitment": True}],
        ),
        house.store,
        Shrinking(),
        actor="test",
    )
    assert purge.run().studies == 2
    assert house.files() == {sha256 for files in kept[2:] for sha256 in files}


def test_shared_file_stays_while_a_row_needs_it(house: House) -> None:
    """If two instances have the same content, the file goes with the last of them."""
    (shared,) = house.delivered(1)
    house.delivered(2, days=1)
    with house.database.transaction() as session:
        session.execute(update(Instance).where(Instance.study_id == 2).values(sha256=shared))
    assert house.purge().run().studies == 1
    assert shared in house.files()
    with house.database.transaction() as session:
        session.execute(update(Instance).values(purged_at=database_now(session)))
    assert erase(house.database, house.store.discard, [shared]) == 1
    assert shared not in house.files()


def test_file_without_a_row_is_not_erased(house: House) -> None:
    """Its row may not have been written yet."""
    file = house.store.put((b"x" * 100,))
    assert erase(house.database, house.store.discard, [file.sha256]) == 0
    assert house.files() == {file.sha256}


def test_quarantined_content_and_conflicts_keep_a_study(house: House) -> None:
    """A person has to check them first."""
    (sha256,) = house.delivered(1)
    house.delivered(2)
    with house.database.transaction() as session:
        now = database_now(session)
        session.add(Quarantined(sha256=sha256, code="instance-unreadable", size_bytes=1, received_at=now))
        session.execute(update(Study).where(Study.id == 2).values(conflict="instance-conflict"))
    assert reasons(house.purge()) == [Reason.QUARANTINE, Reason.CONFLICT]


def test_earlier_study_stays_while_it_is_compared_with(house: House) -> None:
    """It goes once the study that needed it has gone."""
    house.delivered(1)
    house.delivered(2)
    with house.database.transaction() as session:
        session.execute(update(Study).where(Study.id == 2).values(prior=True))
        session.execute(update(Instance).where(Instance.study_id == 2).values(prior=True))
        session.add(PriorLink(job_id=1, study_id=1, prior_id=2))
    assert reasons(house.purge()) == [Reason.OLD, Reason.COMPARISON]
    house.purge().run()
    assert reasons(house.purge()) == [Reason.OLD]


def test_judged_study_goes_before_its_window_ends(house: House) -> None:
    """A radiologist has judged the study, so the window no longer applies."""
    house.delivered(1)
    house.delivered(2)
    with house.database.transaction() as session:
        session.execute(update(Draft).where(Draft.study_id == 2).values(outcome="verified"))
    assert reasons(house.purge(unjudged_keep_days=90)) == [Reason.UNJUDGED, Reason.OLD]


def test_image_that_comes_again_after_its_purge_is_kept_again(house: House) -> None:
    """The same bytes make no new job; their file is kept again, and the study's age starts again."""
    house.delivered(1)
    house.purge().run()
    assert house.files() == set()
    file, outcome = house.receive(1)
    assert (outcome, house.files()) == (IntakeOutcome.RESTORED, {file.sha256})
    assert house.receive(1)[1] is IntakeOutcome.DUPLICATE
    assert reasons(house.purge()) == [Reason.TOO_YOUNG]
    assert erase(house.database, house.store.discard, [file.sha256]) == 0
    with house.database.reading() as session:
        assert session.scalars(select(Job.state)).all() == ["DELIVERED"]


def test_late_image_after_the_purge_makes_an_incomplete_draft(house: House) -> None:
    """The draft cannot take the purged images into account, and states that."""
    house.delivered(1)
    house.purge().run()
    house.receive(1, image=2)
    later = now_of(house.database) + timedelta(hours=1)
    assert [
        one.state.value for one in complete_due_studies(house.database, house.settings, house.store, later)
    ] == ["QUEUED"]
    with house.database.reading() as session:
        assert session.execute(select(Job.revision, Job.incomplete).order_by(Job.id)).all()[-1] == (2, True)


def test_image_that_arrives_between_plan_and_purge_keeps_its_study(house: House) -> None:
    """The study is judged again under the lock that an arriving image acquires."""
    house.delivered(1)
    purge = house.purge()
    real = purge._purge_study

    def meanwhile(study_id: int, rules: Any) -> bool:
        house.receive(1, image=2)
        return real(study_id, rules)

    purge._purge_study = meanwhile  # type: ignore[method-assign]
    assert purge.run().studies == 0
    assert len(house.files()) == 2


def test_purged_rows_raise_no_alarm_and_left_over_files_are_removed(house: House) -> None:
    """If a process died between rows and files, the next start finishes the purge."""
    (sha256,) = house.delivered(1)
    with house.database.transaction() as session:
        session.execute(update(Instance).values(purged_at=database_now(session)))
    found = reconcile(house.database, house.store, house.intake)
    assert (found.removed, found.missing, found.ingested, house.files()) == (1, 0, 0, set())
    with house.database.reading() as session:
        assert session.scalars(select(Study.conflict)).one() is None
    assert sha256


def test_quarantine_is_purged_by_its_own_age(house: House) -> None:
    """Its rows stay; the same bytes are quarantined again when they are sent again."""
    old, young = (house.store.quarantine((text * 50,)) for text in (b"old", b"new"))
    for file in (old, young):
        house.intake.quarantine(file, "instance-unreadable", "CR1")
    with house.database.transaction() as session:
        ago = database_now(session) - OLD
        session.execute(update(Quarantined).where(Quarantined.sha256 == old.sha256).values(received_at=ago))
    assert house.purge(quarantine_keep_days=30).run().quarantined == 1
    assert house.purge(quarantine_keep_days=30).run().quarantined == 0
    paths = [house.store.open_quarantined(file.sha256).exists() for file in (old, young)]
    assert paths == [False, True]
    house.intake.quarantine(house.store.quarantine((b"old" * 50,)), "instance-unreadable", "CR1")
    with house.database.reading() as session:
        assert session.scalars(select(Quarantined.purged_at)).all() == [None, None]


def test_tick_goes_on_where_the_last_one_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many studies that must stay do not keep the purge from those after them."""
    monkeypatch.setattr("agent.operations.retention.purge.PAGE", 1)
    monkeypatch.setattr("agent.operations.retention.purge.PAGES_A_TICK", 2)
    for number in (1, 2):
        house.delivered(number, state="STORED")
    house.delivered(3)
    purge = house.purge()
    assert [purge.tick().studies for _ in range(4)] == [0, 1, 0, 0]


PROGRAM = """
import sys
from pathlib import Path
from agent.database.session import Database, open_engine
from agent.operations.retention.purge import Purge
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
settings = Settings(
    retention={"keep_days": 30}, destinations=[{"name": "pacs", "host": "127.0.0.1", "commitment": True}]
)
database = Database(open_engine(sys.argv[1]))
Purge(database, settings, InstanceStore(Path(sys.argv[2]), 0), lambda: 1e6, actor="test").run()
"""


@pytest.mark.parametrize("name", PURGING)
def test_killed_purge_is_finished_by_the_next(house: House, name: str) -> None:
    """Wherever the purge dies, a row that is not purged has its file, and in the end no file is left over."""
    for number in (1, 2):
        house.delivered(number, images=2)
    kept = house.delivered(3, days=1)
    arguments = [sys.executable, "-c", PROGRAM, str(house.database.engine.url), str(house.store.path)]
    died = warm_run(arguments, env={**os.environ, VARIABLE: f"{name}:1"}, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with house.database.reading() as session:
        live = set(session.scalars(select(Instance.sha256).where(Instance.purged_at.is_(None))))
    assert live <= house.files()
    reconcile(house.database, house.store, house.intake)
    assert house.files() == live
    house.purge().run()
    assert house.files() == set(kept)
    with house.database.reading() as session:
        assert session.scalars(select(Study.conflict).distinct()).all() == [None]
        purges = select(AuditEvent.study_id).where(AuditEvent.action == "purge")
        events = session.scalars(purges.order_by(AuditEvent.study_id)).all()
        states = session.scalars(select(Delivery.state).distinct()).all()
    assert (events, states) == ([1, 2], ["COMMITTED"])

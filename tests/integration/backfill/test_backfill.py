"""Backfill from archives, real and limited: everything is found and retrieved once, whatever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest
import yaml
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)
from sqlalchemy import func, select, update

from agent.commands.demo.orthanc import Orthanc, free_ports
from agent.commands.demo.sending import parcel_of, send
from agent.database.backfill import BackfillSlice, BackfillStudy
from agent.database.session import Database, database_now
from agent.database.tables import Instance, Job, Study
from agent.foundation.failpoints import BACKFILLING
from agent.foundation.settings.tree import (
    ArchiveSettings,
    BackfillSettings,
    ListenerSettings,
    Settings,
    StudySettings,
)
from agent.objects.store import InstanceStore
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from agent.receive.retrieved import incoming_of
from agent.receive.scp import StorageScp
from agent.retrieve.backfill.archive import DatedArchive
from agent.retrieve.backfill.enumeration import CUT_OFF, Enumerator
from agent.retrieve.backfill.planning import make_plan
from agent.retrieve.backfill.progress import read_progress
from agent.retrieve.backfill.rehearsal import rehearse
from agent.retrieve.backfill.runner import Runner
from tests.integration.priors.site import film
from tests.support.warm_python import warm_run

pytestmark = pytest.mark.integration
TITLE = "ECHO_BACKFILL"
FAST: dict[str, Any] = {
    "enabled": True,
    "studies_per_minute": 60_000,
    "queries_per_minute": 60_000,
    "first_retry_s": 0.01,
    "longest_retry_s": 0.01,
}


class LimitedArchive:
    """An archive of synthetic studies that answers by date and time, and has its own result limit.

    says: whether it reports that it has cut an answer off (0xFE00).
    """

    def __init__(self, studies: list[tuple[str, str, str]], limit: int, *, says: bool = False) -> None:
        self.studies, self.limit, self.says = sorted(studies, key=lambda one: one[1:]), limit, says
        self.queries = 0
        self.busy = 0

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a C-FIND."""
        self.queries += 1
        if self.busy:
            self.busy -= 1
            yield 0xA700, None
            return
        query = event.identifier
        first, last = query.StudyDate.split("-")
        begin, _, end = (query.StudyTime or "").partition("-")
        given = 0
        for uid, day, moment in self.studies:
            if not first <= day <= last or (end and not begin <= moment <= end):
                continue
            if event.is_cancelled:
                yield 0xFE00, None
                return
            if given == self.limit:
                if self.says:
                    yield 0xFE00, None
                return
            given += 1
            answer = Dataset()
            answer.QueryRetrieveLevel = "STUDY"
            answer.StudyInstanceUID, answer.ModalitiesInStudy = uid, query.ModalitiesInStudy
            answer.StudyDescription = "Thorax"
            yield 0xFF00, answer

    @contextmanager
    def running(self) -> Iterator[ArchiveSettings]:
        """Listen."""
        entity = AE("FAKE")
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        port = free_ports(1)[0]
        handlers: list[Any] = [(evt.EVT_C_FIND, self.find)]
        server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        assert server is not None
        try:
            yield ArchiveSettings(host="127.0.0.1", port=port, ae_title="FAKE", timeout_s=20)
        finally:
            server.shutdown()


def synthetic(count: int, days: int, chance: Random) -> list[tuple[str, str, str]]:
    """Studies of a range of days; every fifth one is from the same busy morning."""
    found = []
    for number in range(count):
        day = date(2001, 1, 1) + timedelta(days=chance.randrange(days))
        second = chance.randrange(86_400)
        if number % 5 == 0:
            day, second = date(2001, 1, 3), 36_000 + chance.randrange(7200)
        moment = f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}"
        found.append((f"1.2.826.{number}", f"{day:%Y%m%d}", moment))
    return found


def enumerate_all(database: Database, settings: Settings) -> None:
    """Query until no slice is open."""
    assert settings.archive is not None
    asking = Enumerator(
        database, settings, DatedArchive(settings.archive, settings.backfill, None), Random(1)
    )
    for _ in range(5000):
        asking.step()
        if read_progress(database, settings.backfill).open_slices == 0:
            return
    raise AssertionError("it does not end")


@pytest.mark.parametrize(("limit", "says"), [(50, False), (37, True), (10_000, False)])
def test_every_study_of_an_archive_with_a_limit_is_found_once(
    database: Database, limit: int, says: bool
) -> None:
    """With silent limits at a round number, reported limits at an odd one, and our own limit."""
    studies = synthetic(400, 30, Random(7))
    archive = LimitedArchive(studies, limit, says=says)
    with archive.running() as archived:
        settings = Settings(
            archive=archived,
            backfill=BackfillSettings(**FAST, modalities=("CR",), answer_limit=60, slice_days=30),
        )
        make_plan(database, settings.backfill, date(2001, 1, 1), date(2001, 1, 31))
        enumerate_all(database, settings)
        counted = rehearse(settings, DatedArchive(archived, settings.backfill, None), [])
    with database.reading() as session:
        found = list(session.scalars(select(BackfillStudy.study_instance_uid)))
        cut = session.scalar(
            select(func.count()).select_from(BackfillSlice).where(BackfillSlice.code == CUT_OFF)
        )
    assert sorted(found) == sorted(uid for uid, _day, _time in studies)
    assert (cut, counted["studies"]) == (0, 0)


def test_one_minute_that_is_too_full_is_said_and_kept(database: Database) -> None:
    """A slice that cannot be divided further has a code in `backfill status`."""
    studies = [(f"1.2.{number}", "20010102", "101500") for number in range(20)]
    with LimitedArchive(studies, 8, says=True).running() as archived:
        settings = Settings(archive=archived, backfill=BackfillSettings(**FAST, modalities=("DX",)))
        make_plan(database, settings.backfill, date(2001, 1, 1), date(2001, 1, 3))
        enumerate_all(database, settings)
    assert read_progress(database, settings.backfill).codes == {CUT_OFF: 1}
    assert read_progress(database, settings.backfill).studies == {"FOUND": 8}


def test_archive_out_of_resources_is_left_alone_and_asked_again(database: Database) -> None:
    """0xA700 loses nothing: the query is made again."""
    archive = LimitedArchive([("1.2.3", "20010102", "101500")], 9)
    archive.busy = 2
    with archive.running() as archived:
        settings = Settings(archive=archived, backfill=BackfillSettings(**FAST, modalities=("DX",)))
        make_plan(database, settings.backfill, date(2001, 1, 2), date(2001, 1, 2))
        enumerate_all(database, settings)
    assert (archive.queries >= 3, read_progress(database, settings.backfill).studies) == (True, {"FOUND": 1})


# With a real Orthanc ------------------------------------------------------------------------------------


@contextmanager
def listening(database: Database, settings: Settings, folder: Path) -> Iterator[InstanceStore]:
    """The listener of the service."""
    store = InstanceStore(folder, 0)
    scp = StorageScp(settings.listener, store, Intake(database, settings.studies), backfill_ae_title=TITLE)
    scp.start()
    try:
        yield store
    finally:
        scp.stop(2)


def archive_films(orthanc: Orthanc, year: int, count: int) -> list[str]:
    """Put two films of each of this many studies, a hand and a CT into Orthanc; return the chest studies."""
    films = [
        film(f"BACK-{year}/{number}", view, StudyDate=f"{year}03{number % 9 + 1:02}")
        for number in range(count)
        for view in (1, 2)
    ]
    hand = film(f"BACK-{year}/hand", StudyDate=f"{year}0301", BodyPartExamined="HAND")
    parcels = [parcel_of(one, "object") for one in (*films, hand)]
    sent = send(parcels, host=orthanc.host, port=orthanc.port, called=orthanc.ae_title)
    assert {one.status for one in sent} == {0}
    return sorted({str(one.StudyInstanceUID) for one in films})


def settings_for(orthanc: Orthanc, port: int, **values: Any) -> Settings:
    """Settings of a service with Orthanc as its archive."""
    orthanc.put("/modalities/backfill", [TITLE, "127.0.0.1", port])
    orthanc.put("/modalities/agent", ["ECHO_AGENT", "127.0.0.1", port])
    archive = ArchiveSettings(host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title, timeout_s=20)
    if values.pop("web", False):
        archive = ArchiveSettings(url=f"{orthanc.url}/dicom-web", ae_title=orthanc.ae_title, timeout_s=20)
    return Settings(
        listener=ListenerSettings(port=port),
        studies=StudySettings(quiet_time_s=60),
        archive=archive,
        backfill=BackfillSettings(**(FAST | values)),
    )


def retrieved(database: Database) -> tuple[list[str], set[tuple[str, int]], int]:
    """The stored study UIDs, the lanes and revisions of their jobs, and the number of images."""
    with database.reading() as session:
        uids = list(session.scalars(select(Study.study_instance_uid)))
        jobs = {(job.lane, job.revision) for job in session.scalars(select(Job))}
        return sorted(uids), jobs, session.scalar(select(func.count(Instance.id))) or 0


@pytest.mark.parametrize("way", ["c-move", "c-get", "web"])
def test_studies_come_from_orthanc_in_their_lane(
    database: Database, orthanc: Orthanc, free_port: int, tmp_path: Path, way: str
) -> None:
    """Every retrieval method gives the same: chest studies, each once, in the lane `backfill`."""
    if way == "web" and not orthanc.dicomweb:
        pytest.skip("the DICOMweb plugin of Orthanc is not installed")
    year = {"c-move": 1951, "c-get": 1952, "web": 1953}[way]
    wanted = archive_films(orthanc, year, 3)
    values: dict[str, Any] = {"web": True} if way == "web" else {"retrieve": way}
    settings = settings_for(orthanc, free_port, **values)
    make_plan(database, settings.backfill, date(year, 1, 1), date(year, 12, 31))
    with listening(database, settings, tmp_path / "store") as store:
        intake = Intake(database, settings.studies)
        incoming = incoming_of(settings, store, intake, lambda _event: None, backfill=True)
        assert settings.archive is not None
        archive = DatedArchive(settings.archive, settings.backfill, incoming)
        Runner(database, settings, archive, chance=Random(1)).run(Event())
        done = complete_due_studies(database, settings, store)
    assert retrieved(database) == (wanted, {("backfill", 1)}, 6)
    progress = read_progress(database, settings.backfill)
    assert progress.studies == {"PULLED": 3, "SKIPPED": 1}
    assert [one.state for one in done] == ["QUEUED"] * 3  # at once: nothing more can arrive


def test_study_that_was_sent_to_us_is_left_alone(
    database: Database, orthanc: Orthanc, free_port: int, tmp_path: Path
) -> None:
    """A study that already has a draft is not drafted again by the backfill."""
    archive_films(orthanc, 1954, 1)
    settings = settings_for(orthanc, free_port)
    make_plan(database, settings.backfill, date(1954, 1, 1), date(1954, 12, 31))
    here = film("BACK-1954/0", 1, StudyDate="19540301")
    with listening(database, settings, tmp_path / "store") as store:
        sent = send([parcel_of(here, "object")], host="127.0.0.1", port=free_port, called="ECHO_AGENT")
        assert [one.status for one in sent] == [0]
        incoming = incoming_of(
            settings, store, Intake(database, settings.studies), lambda _event: None, backfill=True
        )
        assert settings.archive is not None
        archive = DatedArchive(settings.archive, settings.backfill, incoming)
        Runner(database, settings, archive, chance=Random(1)).run(Event())
    assert retrieved(database) == ([str(here.StudyInstanceUID)], {("routine", 1)}, 1)
    assert read_progress(database, settings.backfill).studies == {"KNOWN": 1, "SKIPPED": 1}


def expire_leases(database: Database) -> None:
    """Expire the claims of a killed process at once."""
    with database.transaction() as session:
        for table in (BackfillSlice, BackfillStudy):
            for row in session.scalars(select(table).where(table.lease_until.is_not(None))):
                row.lease_until = row.updated_at - timedelta(seconds=1)  # type: ignore[attr-defined]


def test_process_killed_anywhere_goes_on_without_a_repeat(
    database: Database, orthanc: Orthanc, free_port: int, tmp_path: Path
) -> None:
    """After `kill -9` at every failpoint in turn, each study is stored once, with one job of one revision."""
    wanted = archive_films(orthanc, 1955, 12)
    settings = settings_for(orthanc, free_port, in_flight=1)
    config = tmp_path / "config.yaml"
    values = settings.model_dump(mode="json", include={"archive", "backfill", "listener", "studies"})
    values["database"] = {"url": str(database.engine.url)}
    values["storage"] = {"path": str(tmp_path / "store"), "min_free_mb": 0}
    config.write_text(yaml.safe_dump(_without_nothing(values)))
    make_plan(database, settings.backfill, date(1955, 1, 1), date(1955, 12, 31))
    ends = []
    with listening(database, settings, tmp_path / "store") as store:
        for point in (*BACKFILLING, ""):
            ends.append(_run(config, point).returncode)
            expire_leases(database)
            # A study whose retrieval was killed is not completed from a part of its images.
            assert _complete(database, settings, store) == []
    assert ends == [-9] * len(BACKFILLING) + [0]
    assert retrieved(database) == (wanted, {("backfill", 1)}, 24)
    assert read_progress(database, settings.backfill).studies == {"PULLED": 12, "SKIPPED": 1}
    with database.transaction() as session:
        assert list(session.scalars(select(Job.state))) == ["QUEUED"] * 12
        session.execute(update(BackfillStudy).where(BackfillStudy.state == "SKIPPED").values(state="DEAD"))
    # Nothing is left to do: the command reports all outcomes, and that something was given up.
    end = _run(config, "")
    assert (end.returncode, "studies: DEAD 1, PULLED 12" in end.stdout) == (1, True), end.stdout


def _complete(database: Database, settings: Settings, store: InstanceStore) -> list[str]:
    """Make every study due, and complete it; return those completed while they were being retrieved."""
    with database.transaction() as session:
        for job in session.scalars(select(Job).where(Job.state == "RECEIVING")):
            job.due_at = database_now(session) - timedelta(seconds=1)
        pulling = list(
            session.scalars(select(BackfillStudy.study_instance_uid).where(BackfillStudy.state == "PULLING"))
        )
    done = complete_due_studies(database, settings, store)
    return [one.study_instance_uid for one in done if one.study_instance_uid in pulling]


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nothing(one) for key, one in value.items() if one is not None}
    return [_without_nothing(one) for one in value] if isinstance(value, list) else value


def _run(config: Path, failpoint: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ECHO_AGENT_FAILPOINT": failpoint}
    command = [sys.executable, "-m", "agent", "backfill", "run", "--config", str(config)]
    done = warm_run(command, env=environment, text=True, timeout=240)
    assert done.returncode in (0, 1, -9), done.stderr
    return done

"""A search by the index finds the same workitems as matching one after another, in the order of the list."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database, open_engine
from agent.database.workitems import Workitem, WorkitemValue
from agent.ris.ups import candidates
from agent.ris.ups.manager import Manager
from agent.ris.ups.matching import keys_of, matches
from agent.ris.ups.query_string import read_query
from agent.ris.ups.terms import StepState, UpsStatus
from tests.support.ups import outcome, scheduled

LONG = "a comment that is longer than what the index keeps of it, so that its end is compared elsewhere"
CODES = "ScheduledStationNameCodeSequence"
SEARCHES: tuple[dict[str, str], ...] = (
    {},
    {"PatientID": "P3"},
    {"PatientID": "P?"},
    {"PatientID": "*1*"},
    {"PatientID": "*"},
    {"PatientID": "nobody"},
    {"PatientName": "müller*"},
    {"PatientName": "MÜLLER7^JÖRG"},
    {"PatientName": "*^Ann_*"},
    {"PatientBirthDate": "19700101-19750101"},
    {"PatientBirthDate": "-19730101"},
    {"PatientBirthDate": "19710101"},
    {"ScheduledProcedureStepStartDateTime": "20261128"},
    {"ScheduledProcedureStepStartDateTime": "202611280900-"},
    {"ScheduledProcedureStepStartDateTime": "20261128080000+0100-20261128090000+0100"},
    {"ScheduledProcedureStepStartDateTime": "nonsense-"},
    {"SOPInstanceUID": "1.2.9.3,1.2.9.5,1.2.9.99"},
    {"SOPInstanceUID": "1.2.9.*"},
    {"ProcedureStepState": "SCHEDULED"},
    {"ProcedureStepState": "IN*"},
    {"ProcedureStepState": "SCHEDULED\\CANCELED"},
    {"ScheduledProcedureStepPriority": "HIGH"},
    {"ScheduledProcedureStepPriority": "*I*"},
    {"InputInformationSequence.StudyInstanceUID": "1.2.3.4"},
    {"InputInformationSequence.ReferencedSOPSequence.ReferencedSOPInstanceUID": "1.2.3.4.1"},
    {f"{CODES}.CodeValue": "ROOM1"},
    {f"{CODES}.CodeValue": "ROOM1", f"{CODES}.CodingSchemeDesignator": "99B"},
    {f"{CODES}.CodeValue": "ROOM?", f"{CODES}.CodeMeaning": "Röntgen_%"},
    {"ReferencedRequestSequence.AccessionNumber": "A4"},
    {"ReferencedRequestSequence.AccessionNumber": "B4"},
    {"CommentsOnTheScheduledProcedureStep": LONG},
    {"CommentsOnTheScheduledProcedureStep": LONG[:64]},
    {"CommentsOnTheScheduledProcedureStep": f"*{LONG[-9:]}"},
    {"ScheduledProcessingParametersSequence.NumericValue": "1.50"},
    {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"},
    {"PatientSex": "F", "ProcedureStepState": "SCHEDULED", "ScheduledProcedureStepPriority": "HIGH"},
)


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """Twelve workitems of various patients, times, states and stations; copied for each test."""
    path = tmp_path_factory.mktemp("workitems") / "agent.db"
    shutil.copyfile(migrated_file, path)
    opened = Database(open_engine(f"sqlite:///{path}"))
    manager = Manager(opened)
    for number in range(12):
        assert manager.create(f"1.2.9.{number}", workitem(number)).status is UpsStatus.SUCCESS
        if number % 3 == 0:
            manager.change_state(f"1.2.9.{number}", "IN PROGRESS", "1.2.8")
    manager.request_cancel("1.2.9.5", Dataset(), "READER")
    # Closing the last connection copies the write-ahead log into the file.
    opened.close()
    assert not path.with_name("agent.db-wal").exists()
    return path


@pytest.fixture
def database(tmp_path: Path, filled_file: Path) -> Iterator[Database]:
    """A database with these workitems for one test."""
    path = tmp_path / "agent.db"
    shutil.copyfile(filled_file, path)
    opened = Database(open_engine(f"sqlite:///{path}"))
    yield opened
    opened.close()


@pytest.fixture
def filled(database: Database) -> Manager:
    """A manager of these workitems."""
    return Manager(database)


def workitem(number: int) -> Dataset:
    """A workitem with some rare, some common and one long value, and some values in several items."""
    starts = f"20261128{7 + number % 3:02d}3000{'+0100' if number % 4 else ''}"
    item = scheduled(
        PatientID=f"P{number}",
        PatientName=f"Müller{number}^Jörg" if number % 2 else f"O'Neil%{number}^Ann_",
        PatientBirthDate=f"19{70 + number % 5}0101",
        ScheduledProcedureStepStartDateTime=starts,
        ScheduledProcedureStepPriority=("HIGH", "MEDIUM", "LOW")[number % 3],
        CommentsOnTheScheduledProcedureStep=LONG if number % 2 else "AI draft",
    )
    stations = []
    for value, scheme in (("ROOM1", "99A"), ("ROOM2", "99B"))[: 1 + number % 2]:
        station = Dataset()
        station.CodeValue, station.CodingSchemeDesignator = value, scheme
        station.CodeMeaning = "Röntgen_%"
        stations.append(station)
    item.ScheduledStationNameCodeSequence = stations
    item.ReferencedRequestSequence = []
    for letter in "AB"[: 1 + number % 2]:
        order = Dataset()
        order.StudyInstanceUID, order.AccessionNumber = f"1.2.3.{number}", f"{letter}{number - number % 2}"
        order.RequestedProcedureID = order.RequestedProcedureDescription = ""
        order.RequestedProcedureCodeSequence = order.IssuerOfAccessionNumberSequence = []
        item.ReferencedRequestSequence.append(order)
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2", f"1.2.3.{number}.1"
    item.InputInformationSequence[0].StudyInstanceUID = f"1.2.3.{number}"
    item.InputInformationSequence[0].ReferencedSOPSequence = [image]
    parameter, unit = Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mm", "UCUM", "mm"
    parameter.ValueType, parameter.NumericValue = "NUMERIC", "1.5" if number % 4 else "2"
    parameter.ConceptNameCodeSequence = parameter.MeasurementUnitsCodeSequence = [unit]
    item.ScheduledProcessingParametersSequence = [parameter]
    return item


@pytest.fixture(params=[True, False], ids=["sorted", "walked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both strategies of the search: few candidates are sorted; for many, the list is walked."""
    if not request.param:
        monkeypatch.setattr(candidates, "_FEW", 1)


def uids(found: list[dict[str, Any]]) -> list[str]:
    """The UIDs of the answers."""
    return [one["00080018"]["Value"][0] for one in found]


def matched(database: Database, keys: Dataset) -> list[str]:
    """The UIDs of the matching workitems, each compared as a whole."""
    with database.reading() as session:
        rows = session.scalars(select(Workitem).order_by(Workitem.urgency, Workitem.id)).all()
    return [row.uid for row in rows if matches(row.content, keys_of(keys))]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: " ".join(search.values()) or "everything")
def test_search_finds_what_matches(filled: Manager, database: Database, search: Mapping[str, str]) -> None:
    """Ranges, wild cards, lists, sequences, long values and names in any case are found, also in pages."""
    keys = read_query(search.items()).keys
    expected = matched(database, keys)
    assert uids(list(filled.find(keys))) == expected
    pages = [uids(list(filled.find(keys, limit=3, offset=start))) for start in range(0, 12, 3)]
    assert [one for page in pages for one in page] == expected


def test_single_wild_card_asks_for_everything(filled: Manager) -> None:
    """A single wild card also matches workitems without a value (PS3.4 C.2.2.2.4)."""
    assert len(list(filled.find(read_query([("AdmissionID", "*")]).keys))) == 12


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_index_follows_every_change(filled: Manager, database: Database) -> None:
    """Old values are no longer found, new ones are; deleting a workitem deletes its index rows."""
    uid = "1.2.9.3"
    assert (
        filled.update(uid, outcome(StepState.COMPLETED), transaction_uid="1.2.8").status is UpsStatus.SUCCESS
    )
    filled.change_state(uid, "COMPLETED", "1.2.8")
    station = "UnifiedProcedureStepPerformedProcedureSequence.PerformedStationNameCodeSequence.CodeValue"
    assert uids(list(filled.find(read_query([(station, "1")]).keys))) == [uid]
    progressing = read_query([("ProcedureStepState", "IN P*")]).keys
    assert uid not in uids(list(filled.find(progressing)))
    with database.transaction() as session:
        row = session.scalars(select(Workitem).where(Workitem.uid == uid)).one()
        session.delete(row)
    with database.reading() as session:
        assert session.scalars(select(WorkitemValue).where(WorkitemValue.workitem_id == row.id)).all() == []

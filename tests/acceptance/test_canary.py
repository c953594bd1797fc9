"""A marked patient goes through success and failures; the mark is found nowhere that it should not be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset
from sqlalchemy import text

from agent.db.session import Database, open_engine
from agent.demo.phantom_study import phantom_study
from agent.demo.sending import Sent, parcel_of, send
from tests.acceptance.conftest import Agent

MARKS = ("CANARYNAME", "CANARYID", "19010203", "CANARYACC", "CANARYPHYSICIAN", "CANARYDESCRIPTION")
# These hold the patient's attributes by design; the documents and the files hold them too.
BY_DESIGN = {"studies"}


def marked(seed: int) -> Dataset:
    """Return an image of the marked patient, in a study of its own."""
    dataset = phantom_study(seed, number=0, taken=datetime.now(UTC), size=256).instances[0]
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "CANARYNAME^X", "CANARYID", "19010203"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "CANARYACC", "CANARYPHYSICIAN"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.AdditionalPatientHistory = "CANARYDESCRIPTION"
    return dataset


def spoil(seed: int, how: str) -> Dataset:
    """Return an image of the marked patient that cannot be drafted."""
    dataset = marked(seed)
    if how == "not chest":
        dataset.BodyPartExamined = "FOOT"
        dataset.AnatomicRegionSequence[0].CodeValue = "56459004"
        dataset.StudyDescription = dataset.SeriesDescription = "CANARYDESCRIPTION"
    elif how == "short pixels":
        dataset.PixelData = dataset.PixelData[:1000]
    elif how == "bad numbers":
        dataset.BitsStored, dataset.HighBit = 77, 3
    elif how == "two patients":
        dataset.PatientID = "CANARYID2"
    return dataset


def test_marked_patient_is_found_in_no_log_output_or_event(agent: Agent) -> None:
    """One study is delivered, the others fail in every way that the demo can make them fail."""
    good, second = marked(21), spoil(21, "two patients")
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "2.25.4242"
    second.StudyInstanceUID = (conflict := marked(25)).StudyInstanceUID
    lying = marked(26)
    lying.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    datasets = [
        good,
        spoil(22, "not chest"),
        spoil(23, "short pixels"),
        spoil(24, "bad numbers"),
        conflict,
        second,
    ]
    sent: list[Sent] = []
    for dataset in datasets:
        sent += send([parcel_of(dataset, "x")], host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
    send([parcel_of(lying, "x")], host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
    assert all(one.accepted for one in sent)
    studies = list(dict.fromkeys(str(dataset.StudyInstanceUID) for dataset in datasets))
    outcomes = agent.wait(studies)
    assert [outcomes[uid].state for uid in studies] == ["DELIVERED", "SKIPPED", "FAILED", "FAILED", "FAILED"]

    said = {
        "log": agent.log,
        "status": agent.command("status").stdout,
        "status --json": agent.command("status", "--json").stdout,
        "queue list": agent.command("queue", "list").stdout,
        "doctor": agent.command("doctor").stdout,
        **{table: rows for table, rows in _tables(agent).items() if table not in BY_DESIGN},
    }
    found = {(where, mark) for where, words in said.items() for mark in MARKS if mark in words}
    assert found == set()


def _tables(agent: Agent) -> dict[str, str]:
    """Return every table of the database as text; what is binary (the documents) is left out."""
    database = Database(open_engine(agent.service.settings.database.url))
    tables = {}
    with database.reading() as session:
        names = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        for name in names:
            rows = session.execute(text(f'SELECT * FROM "{name}"')).all()
            tables[str(name)] = "\n".join(
                "|".join(str(value) for value in row if not isinstance(value, bytes)) for row in rows
            )
    database.close()
    return tables


def test_names_of_files_hold_nothing_of_the_patient(agent: Agent) -> None:
    """Received objects lie under their digest."""
    dataset = marked(31)
    send([parcel_of(dataset, "x")], host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
    agent.wait([str(dataset.StudyInstanceUID)])
    names = " ".join(str(path) for path in Path(agent.service.settings.storage.path).rglob("*"))
    assert [mark for mark in (*MARKS, str(dataset.StudyInstanceUID)) if mark in names] == []

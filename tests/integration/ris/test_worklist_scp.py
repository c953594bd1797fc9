"""Orders from an independent modality worklist: dcmtk's wlmscpfs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from agent.commands.demo.orthanc import free_ports
from agent.commands.doctor_destination import worklist_found
from agent.database.identity.patient import Patient
from agent.foundation.errors import WorklistUnavailable
from agent.foundation.settings.tree import MwlSettings
from agent.network.store_scu import echo
from agent.network.worklist_scu import worklist_entries
from agent.ris.entries import choose_entry
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration
TITLE = "RISWORK"


def worklist_file(accession: str, patient: str, question: str, **values: str) -> Dataset:
    """One worklist entry as a file."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.AccessionNumber, made.PatientID, made.PatientName = accession, patient, "CANARY^PATIENT"
    made.PatientBirthDate, made.PatientSex = "19500101", "F"
    made.ReferringPhysicianName, made.MedicalAlerts, made.Allergies = "", "", ""
    made.StudyInstanceUID = generate_uid(entropy_srcs=[accession, patient, question])
    made.RequestedProcedureID, made.RequestedProcedureDescription = f"RP-{accession}"[:16], "Chest PA"
    made.RequestedProcedurePriority = "STAT"
    made.PlacerOrderNumberImagingServiceRequest = f"PL-{accession}"
    made.ReasonForTheRequestedProcedure = question
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "DX", "CR_ROOM_1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260102", "080000"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepID = "", "SPS"
    step.ScheduledProcedureStepDescription = "Chest PA"
    made.ScheduledProcedureStepSequence = [step]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@pytest.fixture
def wlmscpfs(tmp_path: Path, program: Callable[[str], str]) -> Iterator[tuple[MwlSettings, Path]]:
    """A running wlmscpfs, and the folder of its entries."""
    folder = tmp_path / "worklists" / TITLE
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    port = free_ports(1)[0]
    command = [program("wlmscpfs"), "-dfp", str(folder.parent), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = MwlSettings(host="127.0.0.1", port=port, ae_title=TITLE)

    def answers() -> bool:
        try:
            echo(settings)
        except Exception:  # noqa: BLE001 - it has not begun to listen
            return False
        return True

    try:
        wait_for(answers)
        yield settings, folder
    finally:
        process.terminate()
        process.wait(60)


def write(folder: Path, *entries: Dataset) -> None:
    """Write the entries to the folder of wlmscpfs."""
    for number, one in enumerate(entries):
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.save_as(folder / f"{number}.wl", enforce_file_format=True)


def test_order_from_wlmscpfs(wlmscpfs: tuple[MwlSettings, Path]) -> None:
    """The accession number is matched, and the entry becomes the study's order, umlauts included."""
    settings, folder = wlmscpfs
    write(
        folder,
        worklist_file("ACC-1", "P1", "Fieber, Lungenentzündung?"),
        worklist_file("ACC-2", "P2", "Another question"),
    )
    entries = worklist_entries(settings, "ACC-1")
    assert len(entries) == 1
    choice = choose_entry(
        entries,
        accession_number="ACC-1",
        study_instance_uid="1.2.3",
        patient=Patient(patient_id="P1", issuer_of_patient_id="", patient_birth_date="19500101"),
    )
    assert choice.order is not None
    assert (choice.order.clinical_question, choice.order.priority, choice.order.placer_number) == (
        "Fieber, Lungenentzündung?",
        0,
        "PL-ACC-1",
    )
    assert worklist_entries(settings, "ACC-9") == []
    assert worklist_found(settings, 5)[1] == ""


def test_worklist_that_does_not_know_us_or_is_not_there(wlmscpfs: tuple[MwlSettings, Path]) -> None:
    """A wrong AE title and a closed port are each reported, and raise no other error."""
    settings, _folder = wlmscpfs
    wrong = settings.model_copy(update={"ae_title": "NOBODY"})
    with pytest.raises(
        WorklistUnavailable, match=r"rejects the association: it does not answer to the AE title"
    ):
        worklist_entries(wrong, "ACC-1")
    closed = settings.model_copy(update={"port": free_ports(1)[0]})
    with pytest.raises(WorklistUnavailable, match=r"refused|reached|connection"):
        worklist_entries(closed, "ACC-1")
    assert worklist_found(closed, 5)[1] != ""

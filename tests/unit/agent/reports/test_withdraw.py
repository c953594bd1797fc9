"""A corrected patient withdraws what was sent under the old one."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update

from agent.database.session import database_now
from agent.database.tables import AuditEvent, Delivery, Document, Draft, Job, Listing
from agent.drafting.worker import DraftingWorker
from agent.foundation.errors import DraftWithdrawn
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.queue import deliveries, operator
from agent.receive.complete_study import complete_due_studies
from agent.reports.withdraw import withdraw_due
from dicom_sr.external import dciodvfy
from dicom_sr.validate import validate_pair
from tests.support.films import chest_film
from tests.support.house import FakeReporter, House, image
from tests.support.operator_context import operator_context_of

PACS = DestinationSettings(name="pacs", host="127.0.0.1", port=4242, ae_title="PACS", rejection_notes=True)
PLAIN = DestinationSettings(name="plain", host="127.0.0.1", port=4243, ae_title="PLAIN")
SETTINGS = Settings(destinations=(PACS, PLAIN))
OLD: dict[str, object] = {"PatientID": "PA", "PatientName": "Alpha^A"}
NEW: dict[str, object] = {"PatientID": "PB", "PatientName": "Beta^B"}


def complete(house: House) -> None:
    """Complete the studies that are here, as after the quiet time."""
    with house.database.transaction() as session:
        passed = database_now(session) - timedelta(seconds=1)
        session.execute(update(Job).values(due_at=passed))
    complete_due_studies(house.database, SETTINGS, house.store)


def work(house: House) -> None:
    """Draft the queued jobs."""
    DraftingWorker(house.database, house.store, SETTINGS, FakeReporter()).run_once()  # type: ignore[arg-type]


def send(house: House, destination: str) -> list[Dataset]:
    """Claim what is due for a destination, as the sender does, and report success."""
    sent = []
    while claims := deliveries.claim(house.database, "d", destination, 60, 10):
        for claim in claims:
            deliveries.stored(house.database, claim)
            sent.append(dcmread(io.BytesIO(claim.content)))
    return sent


def drafted_and_sent(house: House) -> list[Dataset]:
    """A study of the old patient, drafted, and delivered to one of the two destinations."""
    house.receive(image(1, 1, **OLD))
    complete(house)
    work(house)
    return send(house, "pacs")


def all_of(house: House, column: Any) -> list[Any]:
    """All values of a column, in order."""
    with house.database.reading() as session:
        return list(session.scalars(select(column)))


def test_correction_withdraws_the_old_patients_documents(house: House) -> None:
    """A rejected revision and a note under the old patient; a draft without predecessor under the new one."""
    old = drafted_and_sent(house)
    house.receive(image(1, 1, **NEW))
    complete(house)
    assert withdraw_due(house.database, SETTINGS) == 1
    findings, report, note = send(house, "pacs")
    for document in (findings, report, note):
        assert (document.PatientID, str(document.PatientName)) == ("PA", "Alpha^A")
    named = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == old[1].SOPInstanceUID
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert [one.SOPInstanceUID for one in old] == [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in note.ContentSequence
    ]
    assert validate_pair(findings, report) == ()
    work(house)
    new = send(house, "pacs")
    assert [(one.PatientID, "PredecessorDocumentsSequence" in one) for one in new] == [("PB", False)] * 2
    with house.database.reading() as session:
        assert session.scalars(select(Listing.patient)).one() == "beta^b"
        assert session.scalars(select(AuditEvent).where(AuditEvent.action == "draft-withdrawn")).one()


def test_correction_stops_what_was_not_sent_yet(house: House) -> None:
    """The other destination gets neither the old patient's documents nor their withdrawal."""
    drafted_and_sent(house)
    house.receive(image(1, 1, **NEW))
    assert send(house, "plain") == []
    complete(house)
    withdraw_due(house.database, SETTINGS)
    work(house)
    assert {one.PatientID for one in send(house, "plain")} == {"PB"}


def test_destination_without_the_setting_gets_no_note(house: House) -> None:
    """Where an archive does not know rejection notes, only the rejected revision is sent."""
    house.receive(image(1, 1, **OLD))
    complete(house)
    work(house)
    send(house, "plain")
    house.receive(image(1, 1, **NEW))
    complete(house)
    withdraw_due(house.database, SETTINGS)
    assert [one.Modality for one in send(house, "plain")] == ["SR", "SR"]


def test_withdrawn_draft_is_never_sent_again(house: House) -> None:
    """Neither a retry nor a lost document causes another transmission."""
    drafted_and_sent(house)
    house.receive(image(1, 1, **NEW))
    complete(house)
    withdraw_due(house.database, SETTINGS)
    with house.database.transaction() as session:
        session.execute(update(Delivery).where(Delivery.job_id == 1).values(state="DEAD"))
        session.execute(update(Job).where(Job.id == 1).values(state="DEAD"))
    with pytest.raises(DraftWithdrawn):
        operator.retry(operator_context_of(house.database, house.store, SETTINGS), 1, actor="me")


def test_withdrawal_is_written_once(house: House) -> None:
    """A second tick finds nothing to do."""
    drafted_and_sent(house)
    house.receive(image(1, 1, **NEW))
    complete(house)
    assert (withdraw_due(house.database, SETTINGS), withdraw_due(house.database, SETTINGS)) == (1, 0)
    assert all_of(house, Draft.withdrawal) == ["done"]


def test_other_notation_withdraws_nothing(house: House) -> None:
    """An issuer that the archive adds is the same patient: the new revision names its predecessor."""
    drafted_and_sent(house)
    house.receive(image(1, 1, **OLD, IssuerOfPatientID="ADT"))
    complete(house)
    assert withdraw_due(house.database, SETTINGS) == 0
    work(house)
    assert all("PredecessorDocumentsSequence" in one for one in send(house, "pacs"))


def test_draft_that_was_never_sent_leaves_no_trace(house: House) -> None:
    """A draft that no destination has needs no withdrawal."""
    house.receive(image(1, 1, **OLD))
    complete(house)
    work(house)
    house.receive(image(1, 1, **NEW))
    complete(house)
    assert withdraw_due(house.database, SETTINGS) == 1
    assert (send(house, "pacs"), send(house, "plain")) == ([], [])
    assert "withdrawn-a" not in all_of(house, Document.role)


def rejection(title: str, *instances: str) -> Dataset:
    """A rejection note of a modality or an archive."""
    note = chest_film(StudyInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.99", Modality="KO", **OLD)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "ViewPosition", "BodyPartExamined"):
        delattr(note, keyword)
    note.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.59"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = title, "DCM", "Rejected"
    note.ConceptNameCodeSequence = [code]
    series, study = Dataset(), Dataset()
    series.ReferencedSOPSequence = []
    for uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", uid
        series.ReferencedSOPSequence.append(item)
    series.SeriesInstanceUID = "1.2.3.1.1"
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.2.3.1", [series]
    note.CurrentRequestedProcedureEvidenceSequence = [study]
    return note


@pytest.mark.parametrize("title", ["113001", "113037", "113038"])
def test_rejection_note_and_a_corrected_instance_change_the_patient(house: House, title: str) -> None:
    """In IOCM the old instance is rejected and sent again under a new UID with the correct patient."""
    drafted_and_sent(house)
    house.receive(rejection(title, "1.2.3.1.1.1"))
    job_id = house.receive(image(1, 7, **NEW))
    complete(house)
    assert (house.job(job_id).state, withdraw_due(house.database, SETTINGS)) == ("QUEUED", 1)
    assert {one.PatientID for one in send(house, "pacs")} == {"PA"}
    work(house)
    assert {one.PatientID for one in send(house, "pacs")} == {"PB"}


def test_rejection_of_every_image_withdraws_the_draft(house: House) -> None:
    """No image is left that the draft could be about."""
    drafted_and_sent(house)
    job_id = house.receive(rejection("113037", "1.2.3.1.1.1"))
    complete(house)
    assert (house.job(job_id).state, withdraw_due(house.database, SETTINGS)) == ("SKIPPED", 1)


def test_other_key_objects_make_no_work(house: House) -> None:
    """An expired retention time, or a selection of key images, changes nothing."""
    drafted_and_sent(house)
    for title in ("113039", "113000"):
        assert house.receive(rejection(title, "1.2.3.1.1.1")) == 1


def test_note_is_a_valid_key_object_selection(house: House, tmp_path: Path, program: Any) -> None:
    """`dciodvfy` finds no error in it."""
    program("dciodvfy")
    drafted_and_sent(house)
    house.receive(image(1, 1, **NEW))
    complete(house)
    withdraw_due(house.database, SETTINGS)
    with house.database.reading() as session:
        content = session.scalars(select(Document.content).where(Document.role == "rejection-note")).one()
    (tmp_path / "note.dcm").write_bytes(content)
    assert dciodvfy(tmp_path / "note.dcm").errors == ()

"""Which destination is sent the report as PDF or image, and how it is withdrawn."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import select, update

from agent.database.session import database_now
from agent.database.states import JobState
from agent.database.tables import Delivery, Document, Job
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.queue import deliveries
from agent.receive.complete_study import complete_due_studies
from agent.reports.withdraw import withdraw_due
from tests.support.house import FakeReporter, House, image

VIEWER = DestinationSettings(name="viewer", host="127.0.0.1", documents=("pdf", "capture", "kos"))
PACS = DestinationSettings(name="pacs", host="127.0.0.1")
SETTINGS = Settings(destinations=(VIEWER, PACS))


def draft(house: House, settings: Settings, **attributes: object) -> None:
    house.receive(image(1, 1, **attributes))
    with house.database.transaction() as session:
        session.execute(update(Job).values(due_at=database_now(session) - timedelta(seconds=1)))
    complete_due_studies(house.database, settings, house.store)
    DraftingWorker(house.database, house.store, settings, FakeReporter()).run_once()  # type: ignore[arg-type]


def sent_to(house: House, destination: str) -> list[Dataset]:
    found = []
    while claims := deliveries.claim(house.database, "d", destination, 60, 10):
        for claim in claims:
            deliveries.stored(house.database, claim)
            found.append(dcmread(io.BytesIO(claim.content)))
    return found


def references(selection: Dataset) -> list[Dataset]:
    return [one for one in selection.ContentSequence if one.ValueType in ("IMAGE", "COMPOSITE")]


def classes(documents: list[Dataset]) -> list[str]:
    return [str(one.SOPClassUID) for one in documents]


def test_destination_is_sent_what_it_asks_for(house: House) -> None:
    """One gets only the views, the other only the reports; the job ends when both have theirs."""
    draft(house, SETTINGS)
    assert classes(sent_to(house, "viewer")) == [
        EncapsulatedPDFStorage,
        SecondaryCaptureImageStorage,
        KeyObjectSelectionDocumentStorage,
    ]
    pacs = sent_to(house, "pacs")
    assert len(pacs) == 2
    assert classes(pacs)[1] == BasicTextSRStorage
    with house.database.reading() as session:
        assert session.scalars(select(Job.state)).one() == JobState.DELIVERED.value


def test_views_are_not_made_where_nobody_wants_them(house: House) -> None:
    """Without such a destination neither a PDF nor an image is made."""
    draft(house, Settings(destinations=(PACS,)))
    with house.database.reading() as session:
        assert sorted(session.scalars(select(Document.role))) == ["findings", "report"]


def test_corrected_patient_takes_the_views_back(house: House) -> None:
    """The PDF and the image are replaced by ones that say withdrawn, under the old patient."""
    draft(house, SETTINGS, PatientID="PA", PatientName="Alpha^A")
    first = sent_to(house, "viewer")
    draft(house, SETTINGS, PatientID="PB", PatientName="Beta^B")
    withdraw_due(house.database, SETTINGS)
    again = sent_to(house, "viewer")
    withdrawn = [one for one in again if one.PatientID == "PA"]
    assert classes(withdrawn) == [
        EncapsulatedPDFStorage,
        SecondaryCaptureImageStorage,
        KeyObjectSelectionDocumentStorage,
    ]
    assert classes([one for one in again if one.PatientID == "PB"]) == classes(withdrawn)
    with house.database.reading() as session:
        roles = session.scalars(
            select(Document.role).join(Delivery).where(Delivery.destination == "viewer").order_by(Document.id)
        ).all()
    assert {"withdrawn-pdf", "withdrawn-image", "withdrawn-kos"} <= set(roles)
    selected = {str(one.SOPInstanceUID): one for one in first if one.Modality == "KO"}
    (note,) = [one for one in withdrawn if one.Modality == "KO"]
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in references(note)] == list(
        selected
    )


@pytest.mark.parametrize("documents", [("findings", "message"), (), ("pdf", "pdf")])
def test_destination_cannot_ask_for_what_there_is_not(documents: Any) -> None:
    """An unknown document, none, and one listed twice are errors of the settings."""
    with pytest.raises(ValueError, match="documents"):
        DestinationSettings(name="x", host="127.0.0.1", documents=documents)

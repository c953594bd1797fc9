"""`doctor --send-test` sends a PACS an unmistakable test, looks for it, and rejects it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage, Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove,  # type: ignore[attr-defined]
)

from agent.commands import doctor_test_object
from agent.commands.doctor import Check, CheckResult
from agent.commands.doctor_test_object import send_tests
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings, Settings

DOCUMENTS = (Comprehensive3DSRStorage, BasicTextSRStorage)
ALL = (*DOCUMENTS, KeyObjectSelectionDocumentStorage)


@contextmanager
def pacs(*classes: str, status: int = 0x0000, lists: bool = True) -> Iterator[tuple[int, list[Dataset]]]:
    """A PACS that stores these SOP classes with a status and may list them; yields its port and objects."""
    stored: list[Dataset] = []

    def store(event: evt.Event) -> int:
        if status < 0xA000 or status >= 0xB000:
            stored.append(event.dataset)
        return status

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for one in stored[:1] if lists else ():
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", one.StudyInstanceUID
            yield 0xFF00, answer

    entity = AE(ae_title="PACS")
    for one in (
        *classes,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
    ):
        entity.add_supported_context(one)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find)]
    )
    assert server is not None
    try:
        yield int(server.server_address[1]), stored
    finally:
        server.shutdown()


def sent_to(port: int, *, archive: bool = True, rejection_notes: bool = True) -> list[Check]:
    """The checks of a test sent to the PACS at a port."""
    place = {"host": "127.0.0.1", "port": port, "ae_title": "PACS", "timeout_s": 5}
    settings = Settings(
        destinations=(
            DestinationSettings.model_validate({"name": "pacs", "rejection_notes": rejection_notes, **place}),
        ),
        archive=ArchiveSettings.model_validate(place) if archive else None,
    )
    return list(send_tests(settings))


def texts_of(item: Dataset) -> Iterator[str]:
    """All texts of a content tree."""
    yield str(item.get("TextValue", ""))
    for inner in item.get("ContentSequence", ()):
        yield from texts_of(inner)


def test_pair_is_sent_listed_and_taken_back() -> None:
    """Every object names the test patient, and no report is verified."""
    with pacs(*ALL) as (port, stored):
        found = sent_to(port)
    assert [one.verdict for one in found] == [CheckResult.RIGHT, CheckResult.RIGHT]
    assert "listed by the archive" in found[0].found
    assert [str(one.SOPClassUID) for one in stored] == list(ALL)
    assert {str(one.PatientID) for one in stored} == {"ECHO-AGENT-TEST"}
    assert all("TEST" in str(one.PatientName) and one.StudyID == "TEST" for one in stored)
    assert {str(one.VerificationFlag) for one in stored[:2]} == {"UNVERIFIED"}
    assert all("This is not a patient" in " ".join(texts_of(one)) for one in stored[:2])
    named = {
        str(item.ReferencedSOPInstanceUID)
        for series in stored[2].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert named == {str(one.SOPInstanceUID) for one in stored[:2]}


def test_study_to_delete_is_named_where_nothing_takes_it_back() -> None:
    """Without rejection notes the administrator is told which study to delete."""
    with pacs(*ALL) as (port, stored):
        found = sent_to(port, archive=False, rejection_notes=False)
    assert [one.verdict for one in found] == [CheckResult.RIGHT, CheckResult.LOOK]
    assert "no `archive` to ask" in found[0].found
    assert str(stored[0].StudyInstanceUID) in found[1].remedy
    assert len(stored) == 2


def test_warning_status_is_shown() -> None:
    """Status 0xB000 counts as stored, and is shown."""
    with pacs(*ALL, status=0xB000) as (port, _stored):
        found = sent_to(port)
    assert found[0].verdict is CheckResult.RIGHT
    assert "B000" in found[0].found


@pytest.mark.parametrize(("classes", "status"), [(DOCUMENTS, 0xA700), (DOCUMENTS[1:], 0x0000), ((), 0x0000)])
def test_refusal_is_wrong_with_its_reason(classes: tuple[str, ...], status: int) -> None:
    """A failure status, a SOP class that is not accepted or no context at all is wrong, with a remedy."""
    with pacs(*classes, status=status) as (port, _stored):
        found = sent_to(port)
    assert [one.verdict for one in found] == [CheckResult.WRONG]
    assert found[0].remedy


def test_what_the_archive_does_not_list_is_to_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PACS may accept an object but hold it back."""
    monkeypatch.setattr(doctor_test_object, "LISTED_WITHIN_S", 0.2)
    with pacs(*ALL, lists=False) as (port, _stored):
        found = sent_to(port)
    assert (found[0].verdict, "does not list" in found[0].found) == (CheckResult.LOOK, True)


def test_note_that_is_refused_names_what_stays() -> None:
    """A PACS that does not accept Key Object Selections keeps the study, which is named."""
    with pacs(*DOCUMENTS) as (port, stored):
        found = sent_to(port)
    assert found[1].verdict is CheckResult.WRONG
    assert str(stored[0].StudyInstanceUID) in found[1].remedy

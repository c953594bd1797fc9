"""The demo's simulated modality and its embedded PACS."""

from __future__ import annotations

import gc
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from agent.commands.demo.pacs import EmbeddedPacs, running_pacs
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import NO_CONTEXT, Parcel, Sent, by_study, parcel_of, parcels_in, send


def report(study: str, instance: str) -> Dataset:
    """Return a small object of a SOP class that the embedded PACS accepts."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = BasicTextSRStorage, instance
    dataset.StudyInstanceUID, dataset.Modality = study, "SR"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def send_to(pacs: EmbeddedPacs, *datasets: Dataset) -> tuple[Sent, ...]:
    """Send datasets to the PACS."""
    parcels = [parcel_of(one, "object") for one in datasets]
    return send(parcels, host=pacs.host, port=pacs.port, called=pacs.ae_title)


def test_pacs_keeps_what_it_is_sent_by_study(tmp_path: Path) -> None:
    """Documents are found by their study, as whole files."""
    with running_pacs(tmp_path) as pacs:
        sent = send_to(pacs, report("1.1", "1.1.1"), report("1.2", "1.2.1"))
        assert [one.status for one in sent] == [0, 0]
        (content,) = pacs.documents("1.2")
    (tmp_path / "back.dcm").write_bytes(content)
    assert dcmread(tmp_path / "back.dcm").SOPInstanceUID == "1.2.1"


def test_pacs_counts_a_second_copy_and_keeps_the_first(tmp_path: Path) -> None:
    """As in an archive, the repeat is answered with success, and the first copy is kept."""
    with running_pacs(tmp_path) as pacs:
        send_to(pacs, report("1.1", "1.1.1"))
        assert [one.accepted for one in send_to(pacs, report("1.1", "1.1.1"))] == [True]
        assert (pacs.copies, len(pacs.documents("1.1"))) == (1, 1)


def test_object_without_an_accepted_context_is_not_sent(tmp_path: Path) -> None:
    """An image offered to a PACS that accepts only reports is returned with the reason."""
    image = phantom_study(1, number=0, taken=datetime(2026, 1, 1), size=64).instances[0]
    with running_pacs(tmp_path) as pacs:
        sent = send_to(pacs, report("1.1", "1.1.1"), image)
    assert [(one.accepted, one.reason) for one in sent] == [(True, "0x0000"), (False, NO_CONTEXT)]


# pynetdicom leaves closing the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_sending_to_nobody_says_so() -> None:
    """Without an association, each object is returned with the reason."""
    (sent,) = send([parcel_of(report("1.1", "1.1.1"), "x")], host="127.0.0.1", port=1, called="NOBODY")
    assert (sent.accepted, sent.status) == (False, None)
    gc.collect(1)


def test_every_file_of_the_odd_set_is_a_parcel_or_has_a_reason(shared_data: Path) -> None:
    """Files without meta information, truncated and nested ones: none raises, none is left out."""
    folder = shared_data / "04_odd"
    found = list(parcels_in(folder))
    assert len(found) == len(list(folder.iterdir()))
    assert all(one.reason for one in found if isinstance(one, Sent))


def test_parcels_are_grouped_by_study() -> None:
    """A study's objects share an association; studies are in the order of their first object."""
    parcels = [
        parcel_of(report(study, f"{study}.{n}"), study) for n, study in enumerate(("1.2", "1.1", "1.2"))
    ]
    groups: tuple[tuple[Parcel, ...], ...] = by_study(parcels)
    assert [[one.label for one in group] for group in groups] == [["1.2", "1.2"], ["1.1"]]

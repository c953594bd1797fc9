"""Builders of image headers and drafts; pydicom is strict in all tests of this folder."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Iterator
from typing import Any

import pydicom
import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom_sr.document import Algorithm, DocumentPair, DraftContent, SourceStudy, build_draft
from model.findings.types import Change, Finding, Laterality, Presence, Severity

CREATED = datetime.datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=datetime.UTC)

MakeImage = Callable[..., Dataset]
MakeDraft = Callable[..., DocumentPair]


@pytest.fixture(autouse=True)
def strict_pydicom() -> Iterator[None]:
    """Make pydicom raise when it writes a value that its VR does not allow."""
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.RAISE
    yield
    config.settings.writing_validation_mode = before


@pytest.fixture
def created() -> datetime.datetime:
    """A fixed time of drafting with a time zone."""
    return CREATED


@pytest.fixture
def make_image() -> MakeImage:
    """An image header as read from a file: encoded in its own character set, then read."""

    def make(number: int = 1, **attributes: Any) -> Dataset:
        image = Dataset()
        image.SpecificCharacterSet = attributes.pop("SpecificCharacterSet", "ISO_IR 100")
        image.SOPClassUID = DigitalXRayImageStorageForPresentation
        image.SOPInstanceUID = f"1.2.826.1.1.{number}"
        image.StudyInstanceUID = "1.2.826.1"
        image.SeriesInstanceUID = "1.2.826.1.1"
        image.PatientName, image.PatientID = "Müller^Jürgen", "PID-1"
        image.PatientBirthDate, image.PatientSex = "19500102", "M"
        image.StudyDate, image.StudyTime, image.StudyID = "20260304", "040500", "S1"
        image.AccessionNumber, image.StudyDescription = "ACC-1", "Thorax pa"
        image.ReferringPhysicianName = "Arzt^Anna"
        image.Modality, image.ViewPosition = "DX", "PA"
        image.Rows, image.Columns = 2048, 1024
        for keyword, value in attributes.items():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        buffer = io.BytesIO()
        dcmwrite(buffer, image, enforce_file_format=True)
        return pydicom.dcmread(io.BytesIO(buffer.getvalue()))

    return make


@pytest.fixture
def algorithm() -> Algorithm:
    """A model for clinical use (the demonstration is the exception here)."""
    return Algorithm(
        name="ECHO",
        version="1.2.3",
        manufacturer="ECHO Agent",
        weights_sha256="0123456789abcdef" * 4,
        demonstration=False,
        parameters={"block_size": "8"},
    )


@pytest.fixture
def content() -> DraftContent:
    """A draft with a present, an absent and an indeterminate finding."""
    return DraftContent(
        findings=(
            Finding(
                concept="pleural_effusion",
                presence=Presence.PRESENT,
                laterality=Laterality.LEFT,
                location="lower_zone",
                severity=Severity.MILD,
                change=Change.NEW,
                evidence="New small left pleural effusion, depth ≥ 5 mm.",
            ),
            Finding(
                concept="pneumothorax",
                presence=Presence.ABSENT,
                laterality=Laterality.BILATERAL,
                evidence="No pneumothorax.",
            ),
            Finding(
                concept="pneumonia", presence=Presence.INDETERMINATE, evidence="Pneumonia cannot be excluded."
            ),
        ),
        findings_sentences=(
            "New small left pleural effusion, depth ≥ 5 mm.",
            "No pneumothorax.",
            "Pneumonia cannot be excluded.",
        ),
        impression_sentences=("New small left pleural effusion.",),
    )


@pytest.fixture
def make_draft(make_image: MakeImage, algorithm: Algorithm, content: DraftContent) -> MakeDraft:
    """Return a function that builds a pair of documents; every argument can be replaced."""

    def make(**replaced: Any) -> DocumentPair:
        arguments: dict[str, Any] = {
            "study": SourceStudy(images=(make_image(),)),
            "content": content,
            "algorithm": algorithm,
            "revision": 1,
            "created": CREATED,
            **replaced,
        }
        return build_draft(
            arguments.pop("study"), arguments.pop("content"), arguments.pop("algorithm"), **arguments
        )

    return make

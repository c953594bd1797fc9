"""Chest films for tests: one small complete image, changed by keyword, and its bytes.

Every test that needs an image starts from one of these two, so that what a film must have stands here alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)


def chest_film(**attributes: object) -> Dataset:
    """Return a DX image of 32 x 32 pixels of 8 bits with a patient and a study; None removes an attribute."""
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1.1", "1.2.3.1"
    dataset.StudyInstanceUID, dataset.StudyID = "1.2.3", "1"
    dataset.PatientID, dataset.PatientName = "P1", "DOE^JANE"
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "O"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", ""
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = np.arange(1024, dtype=np.uint16).astype(np.uint8).tobytes()
    return changed(dataset, attributes)


def bare_film(**attributes: object) -> Dataset:
    """Return a CR image of 4 x 4 pixels that states no more than the listener needs."""
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1.1", "1.2.3.1"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.Modality, dataset.BodyPartExamined = "CR", "CHEST"
    dataset.PatientID, dataset.PatientName = "P1", "DOE^JANE"
    changed(dataset, attributes)
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated, dataset.PixelRepresentation = 16, 0
    dataset.PixelData = bytes(32)
    dataset["PixelData"].VR = "OW"
    return dataset


def changed(dataset: Dataset, attributes: Mapping[str, object]) -> Dataset:
    """Set attributes by keyword, remove those that are None; return the same dataset."""
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    return dataset


def with_meta(dataset: Dataset) -> Dataset:
    """Add the file meta information of Explicit VR Little Endian; return the same dataset."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def file_bytes(dataset: Dataset) -> bytes:
    """Return the dataset as a DICOM file."""
    buffer = BytesIO()
    dcmwrite(buffer, with_meta(dataset), enforce_file_format=True)
    return buffer.getvalue()


def dataset_bytes(dataset: Dataset) -> bytes:
    """Return the dataset in Explicit VR Little Endian without meta information, as C-STORE carries it."""
    target = DicomIO(BytesIO())
    target.is_implicit_VR, target.is_little_endian = False, True
    write_dataset(target, dataset)
    return target.parent.getvalue()  # type: ignore[no-any-return]

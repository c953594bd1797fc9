"""Chest films for tests: one small complete image, changed by keyword, and its bytes.

Every test that needs an image starts from one of these two, so what a film must have is defined only here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)


@lru_cache(maxsize=1)
def chest_pixels() -> NDArray[np.uint8]:
    """Return [256, 256] bytes that look like a frontal chest film: two lungs, a heart, a diaphragm, ribs."""
    y, x = np.mgrid[:256, :256] / 255.0

    def ellipse(x_at: float, y_at: float, width: float, height: float) -> NDArray[np.float64]:
        return np.asarray(np.clip(1.3 - ((x - x_at) / width) ** 2 - ((y - y_at) / height) ** 2, 0, 1))

    lungs = ellipse(0.28, 0.45, 0.17, 0.35) + ellipse(0.72, 0.43, 0.17, 0.33)
    heart, spine = ellipse(0.57, 0.62, 0.14, 0.16), ellipse(0.5, 0.5, 0.06, 0.6)
    ribs = np.sin(y * 60) * ellipse(0.5, 0.45, 0.4, 0.4)
    values = 120 - 60 * np.abs(x - 0.5) + 60 * y - 90 * lungs + 70 * heart + 50 * spine + 12 * ribs
    return np.asarray(np.clip(values + 60 * ellipse(0.5, 0.95, 0.5, 0.2), 5, 250), np.uint8)


def chest_film(**attributes: object) -> Dataset:
    """Return a DX image of 256 x 256 bytes with a patient and a study; None removes an attribute."""
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1.1", "1.2.3.1"
    dataset.StudyInstanceUID, dataset.StudyID = "1.2.3", "1"
    dataset.PatientID, dataset.PatientName = "P1", "DOE^JANE"
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "O"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", ""
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows = dataset.Columns = 256
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = chest_pixels().tobytes()
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
    buffer = BytesIO()
    target = DicomIO(buffer)
    target.is_implicit_VR, target.is_little_endian = False, True
    write_dataset(target, dataset)
    return buffer.getvalue()

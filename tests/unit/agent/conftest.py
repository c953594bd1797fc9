"""Small encoded objects for the tests of the service."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset

ChestBytes = Callable[..., bytes]


@pytest.fixture(scope="session")
def chest_bytes() -> ChestBytes:
    """Make the dataset of a small chest radiograph in Explicit VR Little Endian; keywords change it."""

    def make(**changes: Any) -> bytes:
        dataset = Dataset()
        values: dict[str, Any] = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
            "SOPInstanceUID": "1.2.3.1.1",
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": "1.2.3.1",
            "Modality": "CR",
            "BodyPartExamined": "CHEST",
            "PatientID": "P1",
            "PatientName": "DOE^JANE",
        } | changes
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.Rows = dataset.Columns = 4
        dataset.BitsAllocated = 16
        dataset.PixelRepresentation = 0
        dataset.PixelData = bytes(32)
        dataset["PixelData"].VR = "OW"
        target = DicomIO(BytesIO())
        target.is_implicit_VR, target.is_little_endian = False, True
        write_dataset(target, dataset)
        return target.parent.getvalue()  # type: ignore[no-any-return]

    return make

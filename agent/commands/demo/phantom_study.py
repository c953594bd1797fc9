"""A phantom study as a modality would send it: complete DX objects, with the findings drawn into them.

Source: PS3.3 A.26 (Digital X-Ray Image IOD) and the modules that it names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from agent.commands.demo.patients import birth_date, name_of
from model.findings.types import Finding
from model.phantom import PhantomSpec, draw_spec, stored_pixels
from model.phantom.spec import View

BITS_STORED = 12
FULL_SCALE = 2**BITS_STORED - 1
# Side of a 35-cm detector, in mm; the spacing follows from the image's size.
DETECTOR_MM = 350.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomStudy:
    """One study: its objects, and the findings that are drawn into them."""

    study_instance_uid: str
    seed: int
    truth: tuple[Finding, ...]
    instances: tuple[Dataset, ...]


def demo_uid(*parts: object) -> str:
    """Return a UID (2.25.…) that depends on the parts alone."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def phantom_study(seed: int, *, number: int, taken: datetime, size: int = 1024) -> PhantomStudy:
    """Draw the study of a seed.

    Args:
        seed: the phantom; the same seed shows the same patient and findings.
        number: place in the demo, from 0; chooses the patient's name.
        taken: when the images were taken; the UIDs depend on it, so that each demo makes new studies. size:
        side of the images (px).
    """
    spec = draw_spec(seed)
    study_uid = demo_uid("study", seed, number, taken.isoformat())
    instances = []
    for index, view in enumerate(spec.views):
        dataset = _header(spec, number=number, taken=taken, study_uid=study_uid)
        _describe_view(dataset, view, index, taken, study_uid)
        _put_pixels(dataset, stored_pixels(spec, view, size), spec)
        instances.append(dataset)
    return PhantomStudy(
        study_instance_uid=study_uid, seed=seed, truth=tuple(spec.truth), instances=tuple(instances)
    )


def _header(spec: PhantomSpec, *, number: int, taken: datetime, study_uid: str) -> Dataset:
    chance = spec.chance("patient")
    name = name_of(number)
    dataset = Dataset()
    if name.character_set:
        dataset.SpecificCharacterSet = list(name.character_set)
    dataset.PatientName = name.name
    dataset.PatientID = f"PHANTOM-{spec.seed:06d}"
    dataset.PatientBirthDate = birth_date(spec.body.age, taken.year, chance)
    dataset.PatientSex = spec.body.sex
    dataset.StudyInstanceUID = study_uid
    dataset.StudyID = str(number + 1)
    dataset.StudyDate = taken.strftime("%Y%m%d")
    dataset.StudyTime = taken.strftime("%H%M%S")
    dataset.AccessionNumber = f"DEMO{spec.seed:06d}"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Chest X-ray"
    dataset.Manufacturer = "ECHO Agent"
    dataset.ManufacturerModelName = "Chest phantom"
    dataset.DeviceSerialNumber = "1"
    dataset.SoftwareVersions = "1"
    return dataset


def _describe_view(dataset: Dataset, view: View, index: int, taken: datetime, study_uid: str) -> None:
    frontal = view == "frontal"
    moment = taken + timedelta(seconds=30 * index)
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = demo_uid("instance", study_uid, index)
    dataset.SeriesInstanceUID = demo_uid("series", study_uid, index)
    dataset.SeriesNumber = index + 1
    dataset.SeriesDescription = "Chest PA" if frontal else "Chest lateral"
    dataset.InstanceNumber = 1
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = moment.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = moment.strftime("%H%M%S")
    dataset.AcquisitionNumber = 1
    dataset.BodyPartExamined = "CHEST"
    dataset.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
    dataset.ImageLaterality = "U"
    dataset.ViewPosition = "PA" if frontal else "LL"
    dataset.ViewCodeSequence = [
        _code("399348003", "SCT", "postero-anterior")
        if frontal
        else _code("399173006", "SCT", "left lateral")
    ]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    # A frontal film's rows run to the patient's left, a lateral one's to the back; columns to the feet.
    dataset.PatientOrientation = ["L", "F"] if frontal else ["P", "F"]
    dataset.PatientOrientationCodeSequence = [_code("10904000", "SCT", "erect")]
    dataset.AcquisitionContextSequence = []
    dataset.PositionerType = "NONE"
    dataset.KVP = 120
    dataset.DetectorType = "DIRECT"


def _put_pixels(dataset: Dataset, stored: NDArray[np.uint16], spec: PhantomSpec) -> None:
    """Add the 12-bit stored values [H, W], and the attributes that describe them."""
    inverted = spec.photometric == "MONOCHROME1"
    rows, columns = stored.shape
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = spec.photometric
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.ImagerPixelSpacing = [round(DETECTOR_MM / rows, 6), round(DETECTOR_MM / columns, 6)]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS_STORED, BITS_STORED - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if inverted else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = (FULL_SCALE + 1) // 2, FULL_SCALE + 1
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PixelData = np.ascontiguousarray(stored, dtype="<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item

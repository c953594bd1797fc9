"""Decides whether two files of one SOP Instance show the same image of the same person, whatever their bytes.

An archive often resends an image in another transfer syntax, or with coerced attributes. That is not new
content. Only the inputs of a draft count: every grey level as displayed, and the attributes that name the
patient, the order, the view and the geometry. A lossy recompression changes grey levels, and may change what
the network sees: it is a different image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset

from agent.foundation.errors import UnreadableImage
from agent.objects.comparable import comparable
from agent.objects.pixels import ViewerFilm, load_film, load_header
from dicom_sr.attributes import FOREIGN_ERRORS

ATTRIBUTES = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "StudyTime",
    "AcquisitionDate", "AcquisitionTime", "AccessionNumber", "IssuerOfAccessionNumberSequence", "Modality",
    "PresentationIntentType", "StudyDescription", "SeriesDescription", "ProtocolName", "PatientName",
    "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "PatientSex",
    "PatientAge", "AdditionalPatientHistory", "AnatomicRegionSequence", "BodyPartExamined", "ViewPosition",
    "ViewCodeSequence", "ImageLaterality", "Laterality", "PatientOrientation", "PixelSpacing",
    "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor", "BurnedInAnnotation", "ReasonForStudy",
    "StudyPriorityID", "RequestedProcedureDescription", "RequestedProcedurePriority",
    "RequestAttributesSequence", "ReferencedRequestSequence", "ProcedureCodeSequence",
)  # fmt: skip
# An archive adds these if they are missing; an absent authority contradicts none.
AUTHORITIES = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "IssuerOfAccessionNumberSequence",
)


def same_image(first: Path, second: Path) -> bool:
    """Return whether all inputs of a draft are the same; files that cannot be read are never the same."""
    try:
        one, other = load_header(first), load_header(second)
        if any(_differs(one, other, keyword) for keyword in ATTRIBUTES):
            return False
    except (UnreadableImage, *FOREIGN_ERRORS):
        return False
    return same_picture(first, second)


def same_picture(first: Path, second: Path) -> bool:
    """Return whether every grey level is displayed the same, whatever the attributes say.

    Files that cannot be read are never the same.
    """
    film = _film(first)
    return film is not None and _shows(second, film)


def other_picture(earlier: Path, newest: Path) -> bool:
    """Return whether the newest file does not show what the earlier one does.

    An earlier file that cannot be read shows nothing.
    """
    film = _film(earlier)
    return film is not None and not _shows(newest, film)


def _shows(path: Path, film: ViewerFilm) -> bool:
    found = _film(path)
    if found is None:
        return False
    window = (film.low, film.high) == (found.low, found.high)
    return window and np.array_equal(film.values, found.values)


def _film(path: Path) -> ViewerFilm | None:
    try:
        return load_film(path)
    except (UnreadableImage, *FOREIGN_ERRORS):
        return None


def _differs(one: Dataset, other: Dataset, keyword: str) -> bool:
    first, second = comparable(one, keyword), comparable(other, keyword)
    if keyword in AUTHORITIES and "" in (first, second):
        return False
    return bool(first != second)

"""The clean values that a document takes from the headers of a study's images.

Identifiers are used unchanged, refused, or left out with a note; everything else is cleaned, shortened
or left empty (`dicom_sr.elements`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from dicom_sr.authority import PatientIdentifier, Qualifiers, other_identifiers, qualifiers
from dicom_sr.elements import (
    code,
    date,
    identifier,
    integer,
    patient_id,
    person_name,
    sex,
    short,
    text,
    time,
    timezone,
    uid,
)
from dicom_sr.errors import MixedStudyError, SourceIdentityError
from dicom_sr.orders import Orders, orders_of
from dicom_sr.values import SourceStudy

__all__ = [
    "ImageReference",
    "StudyHeader",
    "image_references",
    "patient_id",
    "prior_references",
    "shows_chest",
    "study_header",
    "text",
    "uid",
]

_FRONTAL = frozenset({"PA", "AP"})
# Names and codes of the chest in Body Part Examined and Anatomic Region Sequence (PS3.16 annex L; CID 4009,
# 4031).
_CHEST_PARTS = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "CXR"})
_CHEST_REGIONS = frozenset({"51185008", "43799004", "39607008", "T-D3000", "T-28000"})
# Modalities of plain radiographs, possibly digitised films.
_RADIOGRAPHS = frozenset({"CR", "DX", "RG", "SC", "OT", "", "PX", "DR"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """One image as referenced by the documents; `rows` and `columns` in pixels, 0 if unknown."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    modality: str
    rows: int
    columns: int
    view: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHeader:
    """Patient and study attributes, clean and within their value representations."""

    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    issuer_qualifiers: Qualifiers | None
    other_patient_ids: tuple[PatientIdentifier, ...]
    patient_birth_date: str
    patient_sex: str
    study_instance_uid: str
    study_date: str
    study_time: str
    study_id: str
    study_description: str
    referring_physician_name: str
    timezone_offset: str
    orders: Orders
    notes: tuple[str, ...]  # values that do not fit their own attribute, in words


def study_header(images: Sequence[Dataset]) -> StudyHeader:
    """The header that all documents of a study share, from its images (the first image that states a value
    wins).

    Raises:
        SourceIdentityError: no image, or an identifier that cannot be written.
        MixedStudyError: the images are of several studies or patients.
    """
    if not images:
        raise SourceIdentityError("the study has no image: a report needs at least one to refer to")
    _one_of_each(images)
    orders, notes = orders_of(images), list[str]()
    issuer, issuer_qualifiers = _issuer(images, notes)
    header = StudyHeader(
        patient_name=_first(person_name(image, "PatientName") for image in images),
        patient_id=_first(patient_id(image) for image in images),
        issuer_of_patient_id=issuer,
        issuer_qualifiers=issuer_qualifiers,
        other_patient_ids=tuple(
            dict.fromkeys(one for image in images for one in other_identifiers(image, notes))
        ),
        patient_birth_date=_first(date(image, "PatientBirthDate") for image in images),
        patient_sex=_first(sex(image) for image in images),
        study_instance_uid=uid(images[0], "StudyInstanceUID"),
        study_date=_first(date(image, "StudyDate") for image in images),
        study_time=_first(time(image, "StudyTime") for image in images),
        study_id=_first(identifier(image, "StudyID", 16, notes) for image in images),
        study_description=_first(short(image, "StudyDescription", 64) for image in images),
        referring_physician_name=_first(person_name(image, "ReferringPhysicianName") for image in images),
        timezone_offset=_first(timezone(image) for image in images),
        orders=orders,
        notes=(),
    )
    return replace(header, notes=tuple(dict.fromkeys((*orders.notes, *notes))))


def image_references(images: Iterable[Dataset]) -> tuple[ImageReference, ...]:
    """The images, each once: frontal views first, then by SOP Instance UID (the order of arrival has no
    influence).

    Raises:
        SourceIdentityError: an image without a usable UID.
    """
    references = {}
    for image in images:
        reference = ImageReference(
            study_instance_uid=uid(image, "StudyInstanceUID"),
            series_instance_uid=uid(image, "SeriesInstanceUID"),
            sop_class_uid=uid(image, "SOPClassUID"),
            sop_instance_uid=uid(image, "SOPInstanceUID"),
            modality=short(image, "Modality", 16).upper(),
            rows=integer(image, "Rows"),
            columns=integer(image, "Columns"),
            view=short(image, "ViewPosition", 16).upper(),
        )
        references[reference.sop_instance_uid] = reference
    return tuple(sorted(references.values(), key=_reading_order))


def _reading_order(reference: ImageReference) -> tuple[bool, str]:
    return reference.view not in _FRONTAL, reference.sop_instance_uid


def shows_chest(image: Dataset) -> bool | None:
    """Whether an image states that it is a radiograph of the chest; None if it does not say."""
    if short(image, "Modality", 16).upper() not in _RADIOGRAPHS:
        return False
    region = code(image, "AnatomicRegionSequence")
    if region is not None:
        return region.value in _CHEST_REGIONS
    part = text(image, "BodyPartExamined").upper()
    return None if not part else part in _CHEST_PARTS


def prior_references(study: SourceStudy) -> tuple[ImageReference, ...]:
    """The prior images; each must be the same patient's and of another study.

    Raises:
        MixedStudyError: a prior is another patient's.
        SourceIdentityError: a prior without a usable UID.
    """
    if not study.images:
        return ()
    patient = _first(patient_id(image) for image in study.images)
    current = uid(study.images[0], "StudyInstanceUID")
    if any(patient_id(prior) != patient for prior in study.priors):
        raise MixedStudyError("a prior image belongs to another patient: leave it out")
    return tuple(prior for prior in image_references(study.priors) if prior.study_instance_uid != current)


def _one_of_each(images: Sequence[Dataset]) -> None:
    if len({uid(image, "StudyInstanceUID") for image in images}) > 1:
        raise MixedStudyError("the images belong to several studies: draft one study at a time")
    # An image without a Patient ID contradicts no other.
    if len({patient_id(image) for image in images} - {""}) > 1:
        raise MixedStudyError("the images of this study name several patients: reconcile them first")


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")


def _issuer(images: Sequence[Dataset], notes: list[str]) -> tuple[str, Qualifiers | None]:
    """The issuer of the Patient ID and its qualifiers, from the first image that states either."""
    for image in images:
        found = identifier(image, "IssuerOfPatientID", 64, notes), qualifiers(image)
        if found != ("", None):
            return found
    return "", None

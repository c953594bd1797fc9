"""From an image's header, however odd, to the few clean values that a document inherits.

Identifiers are taken as they are or refused; everything else is cleaned, shortened or left empty, so
that a missing birth date or a misspelt character set never stops a draft.
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag

from dicom_sr.charset import source_text
from dicom_sr.errors import MixedStudyError, SourceIdentityError
from dicom_sr.values import SourceStudy

# What pydicom raises when an element's bytes do not fit its value representation.
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    EOFError,
    OSError,
    struct.error,
)

_FRONTAL = frozenset({"PA", "AP"})
_CHARACTER_SET = Tag(0x0008, 0x0005)
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """One image as the documents name it; `rows` and `columns` in pixels, 0 where unknown."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    modality: str
    rows: int
    columns: int
    view: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the images say of the request that they fulfil; empty where they say nothing."""

    accession_number: str
    placer_order_number: str
    filler_order_number: str
    requested_procedure_id: str
    requested_procedure_description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHeader:
    """Patient and study attributes, clean and within their value representations."""

    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    patient_sex: str
    study_instance_uid: str
    study_date: str
    study_time: str
    study_id: str
    study_description: str
    referring_physician_name: str
    timezone_offset: str
    order: Order
    notes: tuple[str, ...]  # what could not be carried in its own attribute, in words


def study_header(images: Sequence[Dataset]) -> StudyHeader:
    """The header that all documents of a study share, from its images (the first that says it wins).

    Raises:
        SourceIdentityError: no image, or an identifier that cannot be written.
        MixedStudyError: the images are of several studies or patients.
    """
    if not images:
        raise SourceIdentityError("the study has no image: a report needs at least one to refer to")
    _one_of_each(images)
    accession, notes = _accession(images)
    return StudyHeader(
        patient_name=_first(person_name(image, "PatientName") for image in images),
        patient_id=patient_id(images[0]),
        issuer_of_patient_id=_first(_short(image, "IssuerOfPatientID", 64) for image in images),
        patient_birth_date=_first(date(image, "PatientBirthDate") for image in images),
        patient_sex=_first(_sex(image) for image in images),
        study_instance_uid=uid(images[0], "StudyInstanceUID"),
        study_date=_first(date(image, "StudyDate") for image in images),
        study_time=_first(time(image, "StudyTime") for image in images),
        study_id=_first(_identifier(image, "StudyID", 16) for image in images),
        study_description=_first(_short(image, "StudyDescription", 64) for image in images),
        referring_physician_name=_first(person_name(image, "ReferringPhysicianName") for image in images),
        timezone_offset=_first(_timezone(image) for image in images),
        order=_order(images, accession),
        notes=notes,
    )


def image_references(images: Iterable[Dataset]) -> tuple[ImageReference, ...]:
    """The images, each once: frontal views first, then by SOP Instance UID (arrival means nothing).

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
            modality=_short(image, "Modality", 16).upper(),
            rows=_integer(image, "Rows"),
            columns=_integer(image, "Columns"),
            view=_short(image, "ViewPosition", 16).upper(),
        )
        references[reference.sop_instance_uid] = reference
    return tuple(sorted(references.values(), key=_reading_order))


def _reading_order(reference: ImageReference) -> tuple[bool, str]:
    return reference.view not in _FRONTAL, reference.sop_instance_uid


def prior_references(study: SourceStudy) -> tuple[ImageReference, ...]:
    """The prior images; each must be the same patient's and of another study.

    Raises:
        MixedStudyError: a prior is another patient's.
        SourceIdentityError: a prior without a usable UID.
    """
    if not study.images:
        return ()
    patient, current = patient_id(study.images[0]), uid(study.images[0], "StudyInstanceUID")
    if any(patient_id(prior) != patient for prior in study.priors):
        raise MixedStudyError("a prior image belongs to another patient: leave it out")
    return tuple(prior for prior in image_references(study.priors) if prior.study_instance_uid != current)


def text(dataset: Dataset, keyword: str, *, is_name: bool = False) -> str:
    """One text element as clean Unicode; empty where absent."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else source_text(dataset, tag, is_name=is_name)


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID as it stands.

    Raises:
        SourceIdentityError: absent, or not a valid UID (PS3.5 9.1).
    """
    value = text(dataset, keyword).strip("\0 ")
    if len(value) > 64 or _UID.fullmatch(value) is None:
        raise SourceIdentityError(f"{keyword} of an image is missing or no valid UID: mend it at the sender")
    return value


def patient_id(dataset: Dataset) -> str:
    """The Patient ID as it stands; empty where absent.

    Raises:
        SourceIdentityError: longer than 64 characters, or several values.
    """
    value = text(dataset, "PatientID")
    if len(value) > 64 or "\\" in value:
        raise SourceIdentityError("PatientID of an image is longer than 64 characters or has several values")
    return value


def person_name(dataset: Dataset, keyword: str) -> str:
    """A name with at most three groups of 64 characters and five components each (PS3.5 6.2)."""
    groups = text(dataset, keyword, is_name=True).replace("\\", " ").split("=")[:3]
    shortened = ("^".join(group.split("^")[:5])[:64].strip() for group in groups)
    return "=".join(shortened).rstrip("=")


def date(dataset: Dataset, keyword: str) -> str:
    """A DA value, or empty where it is no date; the old form with dots is understood."""
    digits = text(dataset, keyword).replace(".", "").replace("-", "")
    if re.fullmatch(r"\d{8}", digits) is None:
        return ""
    try:
        datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return ""
    return digits


def time(dataset: Dataset, keyword: str) -> str:
    """A TM value, or empty where it is no time; the old form with colons is understood."""
    value = text(dataset, keyword).replace(":", "")
    match = re.fullmatch(r"([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d)(\.\d{1,6})?)?)?", value)
    return value if match else ""


def _one_of_each(images: Sequence[Dataset]) -> None:
    if len({uid(image, "StudyInstanceUID") for image in images}) > 1:
        raise MixedStudyError("the images belong to several studies: draft one study at a time")
    if len({patient_id(image) for image in images}) > 1:
        raise MixedStudyError("the images of this study name several patients: reconcile them first")


def _accession(images: Sequence[Dataset]) -> tuple[str, tuple[str, ...]]:
    """The accession number, never shortened: half a number may be another order's whole one."""
    sources = [*images, *(item for image in images for item in _requests(image))]
    full = _first(text(source, "AccessionNumber") for source in sources)
    if len(full) <= 16 and "\\" not in full:
        return full, ()
    return "", (f"Accession number as received (too long for its DICOM attribute): {full}.",)


def _order(images: Sequence[Dataset], accession: str) -> Order:
    sources = [*(item for image in images for item in _requests(image)), *images]
    return Order(
        accession_number=accession,
        placer_order_number=_first(
            _identifier(source, "PlacerOrderNumberImagingServiceRequest", 64) for source in sources
        ),
        filler_order_number=_first(
            _identifier(source, "FillerOrderNumberImagingServiceRequest", 64) for source in sources
        ),
        requested_procedure_id=_first(_identifier(source, "RequestedProcedureID", 16) for source in sources),
        requested_procedure_description=_first(
            _short(source, "RequestedProcedureDescription", 64) for source in sources
        ),
    )


def _requests(image: Dataset) -> list[Dataset]:
    """Items of Request Attributes Sequence; items inherit the image's character set."""
    try:
        value = image.get("RequestAttributesSequence")
    except _UNREADABLE:
        return []
    if not isinstance(value, DicomSequence):
        return []
    return [_with_character_set(item, image) for item in value]


def _with_character_set(item: Dataset, image: Dataset) -> Dataset:
    """An item that states no character set of its own has the image's (PS3.5 7.5.3)."""
    if _CHARACTER_SET in item or _CHARACTER_SET not in image:
        return item
    copy = Dataset()
    for tag in set(item.keys()):
        copy[tag] = item.get_item(tag)
    copy[_CHARACTER_SET] = image.get_item(_CHARACTER_SET)
    return copy


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")


def _short(dataset: Dataset, keyword: str, length: int) -> str:
    """Words for display, cut to `length` bytes of UTF-8, which no checker finds too long."""
    value = text(dataset, keyword).replace("\\", " ")
    if len(value.encode()) <= length:
        return value
    return value.encode()[: length - 3].decode(errors="ignore").rstrip() + "…"


def _identifier(dataset: Dataset, keyword: str, length: int) -> str:
    value = text(dataset, keyword)
    return value if len(value) <= length and "\\" not in value else ""


def _sex(dataset: Dataset) -> str:
    value = text(dataset, "PatientSex").upper()
    return value if value in {"M", "F", "O"} else ""


def _timezone(dataset: Dataset) -> str:
    value = text(dataset, "TimezoneOffsetFromUTC")
    return value if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", value) and value != "-0000" else ""


def _integer(dataset: Dataset, keyword: str) -> int:
    try:
        value = dataset.get(keyword)
    except _UNREADABLE:
        return 0
    return value if isinstance(value, int) and value > 0 else 0

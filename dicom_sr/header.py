"""Everything around the content tree: patient, study, series, equipment and the document's legal state.

Source: PS3.3 C.7.1.1, C.7.2.1, C.17.1 (SR Document Series), C.17.2 (SR Document General), C.7.5.2.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset

from dicom_sr import codes
from dicom_sr.elements import shortened
from dicom_sr.header_request import authority_items, patient_identifiers, requests
from dicom_sr.observer import algorithm_uid, serial_number
from dicom_sr.source import ImageReference, StudyHeader
from dicom_sr.values import Algorithm, DocumentReference, Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentState:
    """The completion that a document states; without a verification it is preliminary and unverified."""

    completion: Literal["COMPLETE", "PARTIAL"]
    completion_description: str
    verification: Verification | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlace:
    """The document's own series."""

    number: int
    description: str  # at most 64 characters


def new_document(
    sop_class_uid: str,
    header: StudyHeader,
    algorithm: Algorithm,
    state: DocumentState,
    series: SeriesPlace,
    created: datetime.datetime,
) -> Dataset:
    """A document's header, before content, evidence and its own UIDs are added.

    `created` is aware; if the images state their offset from UTC, timestamps are written in it.
    """
    document = Dataset()
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID = sop_class_uid
    _patient_and_study(document, header)
    document.Modality = "SR"
    document.SeriesNumber = series.number
    document.SeriesDescription = series.description
    document.ReferencedPerformedProcedureStepSequence = []
    _equipment(document, algorithm)
    document.InstanceNumber = 1
    _stamps(document, header, created)
    _legal_state(document, state)
    document.AuthorObserverSequence = [_author(algorithm, state.verification)]
    document.ContributingEquipmentSequence = [_contribution(document, algorithm)]
    document.ReferencedRequestSequence = requests(header)
    document.PerformedProcedureCodeSequence = []
    return document


def _legal_state(document: Dataset, state: DocumentState) -> None:
    document.CompletionFlag = state.completion
    document.CompletionFlagDescription = state.completion_description
    if state.verification is None:
        document.VerificationFlag = "UNVERIFIED"
        document.PreliminaryFlag = "PRELIMINARY"
        return
    observer = Dataset()
    observer.VerifyingOrganization = state.verification.organization
    observer.VerificationDateTime = state.verification.verified_at.strftime("%Y%m%d%H%M%S.%f%z")
    observer.VerifyingObserverName = state.verification.observer_name
    observer.VerifyingObserverIdentificationCodeSequence = person_code(state.verification)
    document.VerificationFlag = "VERIFIED"
    document.PreliminaryFlag = "FINAL"
    document.VerifyingObserverSequence = [observer]


def evidence(references: Iterable[ImageReference | DocumentReference]) -> list[Dataset]:
    """Hierarchical SOP Instance references, grouped by study and series (PS3.3 table 10-3b)."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        series = studies.setdefault(reference.study_instance_uid, {})
        series.setdefault(reference.series_instance_uid, []).append(item)
    return [_study_item(study, series) for study, series in studies.items()]


def add_evidence(
    document: Dataset,
    current: Sequence[ImageReference | DocumentReference],
    priors: Sequence[ImageReference],
    predecessors: Sequence[DocumentReference],
) -> None:
    """Write the document's evidence and its predecessors."""
    document.CurrentRequestedProcedureEvidenceSequence = evidence(current)
    if priors:
        document.PertinentOtherEvidenceSequence = evidence(priors)
    if predecessors:
        document.PredecessorDocumentsSequence = evidence(predecessors)


def _patient_and_study(document: Dataset, header: StudyHeader) -> None:
    document.PatientName = header.patient_name
    document.PatientID = header.patient_id
    patient_identifiers(document, header)
    document.PatientBirthDate = header.patient_birth_date
    document.PatientSex = header.patient_sex
    document.StudyInstanceUID = header.study_instance_uid
    document.StudyDate = header.study_date
    document.StudyTime = header.study_time
    document.ReferringPhysicianName = header.referring_physician_name
    document.StudyID = header.study_id
    document.AccessionNumber = header.orders.accession_number
    if header.orders.accession_issuer is not None and header.orders.accession_number:
        document.IssuerOfAccessionNumberSequence = authority_items(header.orders.accession_issuer)
    if header.study_description:
        document.StudyDescription = header.study_description


def _equipment(document: Dataset, algorithm: Algorithm) -> None:
    document.Manufacturer = algorithm.manufacturer[:64]
    document.ManufacturerModelName = algorithm.name[:64]
    document.DeviceSerialNumber = serial_number(algorithm)
    document.SoftwareVersions = algorithm.version[:64]


def _stamps(document: Dataset, header: StudyHeader, created: datetime.datetime) -> None:
    local = created
    if header.timezone_offset:
        sign = -1 if header.timezone_offset[0] == "-" else 1
        hours, minutes = int(header.timezone_offset[1:3]), int(header.timezone_offset[3:])
        local = created.astimezone(datetime.timezone(sign * datetime.timedelta(hours=hours, minutes=minutes)))
        document.TimezoneOffsetFromUTC = header.timezone_offset
    day, clock = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    for keyword in ("InstanceCreation", "Content", "Series"):
        setattr(document, f"{keyword}Date", day)
        setattr(document, f"{keyword}Time", clock)


def _author(algorithm: Algorithm, verification: Verification | None) -> Dataset:
    """The author of the text: the software, or the person who edited its draft."""
    if verification is None or not verification.edited:
        return _device_author(algorithm)
    author = Dataset()
    author.ObserverType = "PSN"
    author.PersonName = verification.observer_name
    author.PersonIdentificationCodeSequence = person_code(verification)
    author.InstitutionName = shortened(verification.organization, 64)
    author.InstitutionCodeSequence = []
    return author


def person_code(verification: Verification) -> list[Dataset]:
    """The one item of a sequence with a person's code; no item where the person has none."""
    if not verification.identification:
        return []
    item = code_item(
        verification.identification, verification.identification_scheme, _spoken(verification.observer_name)
    )
    return [item]


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    setattr(item, "CodeValue" if len(value) <= 16 else "LongCodeValue", value)
    item.CodingSchemeDesignator, item.CodeMeaning = scheme, meaning
    return item


def _spoken(person_name: str) -> str:
    """A person name in words, of at most 64 bytes."""
    words = " ".join(part for part in person_name.split("=")[0].split("^") if part)
    return shortened(words, 64) or "person"


def _contribution(document: Dataset, algorithm: Algorithm) -> Dataset:
    """The algorithm as contributing equipment (IHE AIR; PS3.3 C.12.1)."""
    purpose = codes.PROCESSING_EQUIPMENT
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [
        code_item(purpose.value, purpose.scheme_designator, purpose.meaning)
    ]
    item.Manufacturer = document.Manufacturer
    item.ManufacturerModelName = document.ManufacturerModelName
    item.DeviceSerialNumber = document.DeviceSerialNumber
    item.SoftwareVersions = document.SoftwareVersions
    item.ContributionDateTime = (
        f"{document.ContentDate}{document.ContentTime}{document.get('TimezoneOffsetFromUTC', '')}"
    )
    item.ContributionDescription = "Processing Algorithm"
    return item


def _device_author(algorithm: Algorithm) -> Dataset:
    """Identified Person or Device Macro for software (PS3.3 table C.17-3b)."""
    author = Dataset()
    author.ObserverType = "DEV"
    author.StationName = algorithm.name[:16]
    author.DeviceUID = algorithm_uid(algorithm)
    author.Manufacturer = algorithm.manufacturer[:64]
    author.ManufacturerModelName = algorithm.name[:64]
    author.InstitutionName = ""
    author.InstitutionCodeSequence = []
    return author


def _study_item(study: str, series: dict[str, list[Dataset]]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = []
    for series_uid, instances in series.items():
        series_item = Dataset()
        series_item.SeriesInstanceUID = series_uid
        series_item.ReferencedSOPSequence = instances
        item.ReferencedSeriesSequence.append(series_item)
    return item

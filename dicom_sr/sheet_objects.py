"""Document B as objects that any viewer shows: an Encapsulated PDF and a Secondary Capture image.

Both take the patient, the study and the time of writing from the Structured Report that they show, name it as
their source, and derive their UIDs from their other bytes, as it does.

Source: PS3.3 A.45.1 and C.24 (Encapsulated PDF), A.8.1 (Secondary Capture), C.7.6.1 (burned-in annotation).
"""

from __future__ import annotations

from pathlib import Path

from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from dicom_sr import codes
from dicom_sr.assembly import content_digest_uid, file_meta_of
from dicom_sr.attributes import integer, text
from dicom_sr.header import code_item
from dicom_sr.identifiers import series_uid
from dicom_sr.sheet import Outcome, Sheet, sheet_of
from dicom_sr.sheet_pages import pdf_of, picture_of

# The series of the PDFs and pictures; the Structured Reports' own come after them.
_PDF_SERIES, _PICTURE_SERIES = 9060, 9080
# Attributes that a view takes from the document that it shows.
FROM_REPORT = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "ContributingEquipmentSequence",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "ContentDate",
    "ContentTime",
    "SeriesDate",
    "SeriesTime",
)


def build_pdf(report: Dataset, outcome: Outcome, *, font: Path | None = None) -> Dataset:
    """Return the Encapsulated PDF of a document B.

    Args:
        report: document B, of any revision.
        outcome: the outcome of the draft, for the banner.
        font: a TrueType file with the text's characters; None for the shipped one (Latin-1).

    Raises:
        NotStructuredReportError: it is not a Structured Report.
        ContentError: the font cannot be read, or the outcome does not fit the document.
    """
    sheet = sheet_of(report, outcome)
    content = pdf_of(sheet, font)
    document = _common(report, EncapsulatedPDFStorage, sheet, _PDF_SERIES)
    document.Modality, document.ConversionType = "DOC", "SD"
    document.BurnedInAnnotation = "YES"
    document.DocumentTitle = sheet.title
    title = codes.DIAGNOSTIC_IMAGING_REPORT
    document.ConceptNameCodeSequence = [code_item(title.value, title.scheme_designator, title.meaning)]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    document.AcquisitionDateTime = ""
    document.VerificationFlag = "VERIFIED" if sheet.verified else "UNVERIFIED"
    document.SourceInstanceSequence = [_reference(report)]
    return _finished(document)


def build_picture(report: Dataset, outcome: Outcome, *, font: Path | None = None) -> Dataset:
    """Return the Secondary Capture image (MONOCHROME2, 8 bits) of a document B, the banner burnt in.

    The arguments and errors are those of `build_pdf`; a text that is too long for a picture is a
    ContentError too.
    """
    sheet = sheet_of(report, outcome)
    image: Dataset = SCImage(
        pixel_array=picture_of(sheet, font),
        photometric_interpretation="MONOCHROME2",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=text(report, "StudyInstanceUID"),
        series_instance_uid="2.25.1",
        series_number=_PICTURE_SERIES,
        sop_instance_uid="2.25.1",
        instance_number=1,
        manufacturer=text(report, "Manufacturer"),
        patient_orientation=("L", "F"),
    )
    document = _common(report, SecondaryCaptureImageStorage, sheet, _PICTURE_SERIES)
    for element in image:
        if element.keyword not in FROM_REPORT and element.keyword not in document:
            document[element.tag] = element
    document["PixelData"].VR = "OB"
    document.Modality, document.ConversionType = "OT", "SYN"
    document.DateOfSecondaryCapture, document.TimeOfSecondaryCapture = report.ContentDate, report.ContentTime
    document.PatientOrientation = ""
    document.BurnedInAnnotation = "YES"
    document.ImageType = ["DERIVED", "SECONDARY", "REPORT"]
    document.DerivationDescription = "Text of a Structured Report"
    document.SourceInstanceSequence = [_reference(report)]
    document.Laterality = ""
    return _finished(document)


def taken_from(report: Dataset) -> Dataset:
    """Return a data set with the attributes that a view takes from the report that it shows."""
    made = Dataset()
    for keyword in FROM_REPORT:
        if keyword in report:
            made[keyword] = report[keyword]
    return made


def _common(report: Dataset, sop_class_uid: str, sheet: Sheet, series_number: int) -> Dataset:
    document = taken_from(report)
    document.SOPClassUID = sop_class_uid
    document.SeriesNumber = series_number + (integer(report, "SeriesNumber") or 0) % 20
    document.InstanceNumber = 1
    document.SeriesDescription = sheet.title
    return document


def _reference(report: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = report.SOPClassUID
    item.ReferencedSOPInstanceUID = report.SOPInstanceUID
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source of Image Processing Operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _finished(document: Dataset) -> Dataset:
    document.SOPInstanceUID = content_digest_uid(document)
    document.SeriesInstanceUID = series_uid(document.SOPInstanceUID)
    document.file_meta = file_meta_of(document)
    return document

"""The key images of a draft: a Key Object Selection of the images that document B is about.

It is made from document B, whatever its revision, and its UID is derived from that document's. So when the
draft is rejected or withdrawn, the rejection note can name it without having seen it.

Source: PS3.3 A.35.4 and C.17.6 (Key Object Selection), PS3.16 TID 2010, CID 7010; IHE RAD TF-1 7 (Key Image
Note), TF-2 4.66 (rejection notes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard_codes
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_sr import codes
from dicom_sr.assembly import file_meta_of
from dicom_sr.attributes import integer, items, text
from dicom_sr.identifiers import derived_uid
from dicom_sr.labels import NOTE_DESCRIPTION
from dicom_sr.sheet import Outcome, Sheet, sheet_of
from dicom_sr.sheet_objects import FROM_REPORT, taken_from
from dicom_sr.values import BANNER

_SERIES_NUMBER = 9040
# The Structured Report Storage classes, which the evidence contains besides images.
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_TITLE: Mapping[Outcome, Code] = {
    "drafted": codes.OF_INTEREST,
    "verified": codes.OF_INTEREST,
    "rejected": codes.REJECTED_FOR_QUALITY,
    "withdrawn": codes.REJECTED_FOR_SAFETY,
}


def build_key_images(report: Dataset, outcome: Outcome, *, font: Path | None = None) -> Dataset | None:
    """Return the Key Object Selection for a document B; None if there is nothing to name.

    For a draft or a verified report it is titled "Of Interest", names the images and describes the status of
    the text. For a rejected or withdrawn draft it is the rejection note for the previous document's
    selection. Without a draft there is none.

    Args:
        report: document B, of any revision.
        outcome: the outcome of the draft. font: not used; the other views of a document need one.

    Raises:
        NotStructuredReportError: it is not a Structured Report.
        ContentError: the outcome does not fit the document.
    """
    sheet = sheet_of(report, outcome)
    named = list(
        _images(report) if outcome in ("drafted", "verified") else _selections_before(report, outcome)
    )
    if not named:
        return None
    selection = KeyObjectSelection(
        document_title=_TITLE[outcome],
        referenced_objects=named,
        observer_device_context=_observer(report),
        description=_description(sheet),
    )
    made: Dataset = KeyObjectSelectionDocument(
        evidence=named,
        content=selection,
        series_instance_uid=derived_uid("key-images-series", str(report.SOPInstanceUID)),
        series_number=_SERIES_NUMBER + (integer(report, "SeriesNumber") or 0) % 20,
        sop_instance_uid=key_images_uid(str(report.SOPInstanceUID)),
        instance_number=1,
        manufacturer=text(report, "Manufacturer"),
    )
    return _finished(made, report, sheet, outcome)


def key_images_uid(report_uid: str) -> str:
    """Return the SOP Instance UID of the selection that belongs to a document B."""
    return derived_uid("key-images", report_uid)


def _finished(made: Dataset, report: Dataset, sheet: Sheet, outcome: Outcome) -> Dataset:
    """Return the document with the patient, study, software and times of document B, and nothing random."""
    document = Dataset()
    for element in made:
        if element.keyword not in FROM_REPORT:
            document[element.tag] = element
    for keyword in (*FROM_REPORT, "ReferencedRequestSequence"):
        if keyword in report:
            document[keyword] = report[keyword]
    document.SeriesDescription = _series(sheet, outcome)
    document.file_meta = file_meta_of(document)
    return document


def _series(sheet: Sheet, outcome: Outcome) -> str:
    """Return the series description, as viewers list it."""
    if outcome in ("rejected", "withdrawn"):
        return NOTE_DESCRIPTION
    if BANNER in sheet.banner:
        return f"AI key images {BANNER}"
    return "Key images of a verified report" if sheet.verified else "AI PRE-DRAFT key images (unverified)"


def _description(sheet: Sheet) -> str:
    return ". ".join(sheet.banner)


def _observer(report: Dataset) -> ObserverContext:
    """Return the software as the device that selected the images."""
    return ObserverContext(
        observer_type=standard_codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=derived_uid("key-images-device", text(report, "ManufacturerModelName")),
            name=text(report, "ManufacturerModelName") or None,
            manufacturer_name=text(report, "Manufacturer") or None,
        ),
    )


def _images(report: Dataset) -> Iterator[Dataset]:
    """Yield the images of the study that document B names as its evidence."""
    for study in items(report, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for instance in items(series, "ReferencedSOPSequence"):
                if not text(instance, "ReferencedSOPClassUID").startswith(_REPORTS):
                    image = _object(
                        report,
                        text(series, "SeriesInstanceUID"),
                        text(instance, "ReferencedSOPClassUID"),
                        text(instance, "ReferencedSOPInstanceUID"),
                    )
                    # The attributes that identify an image among the content items.
                    image.Rows = image.Columns = 1
                    yield image


def _selections_before(report: Dataset, outcome: Outcome) -> Iterator[Dataset]:
    """Yield the selections of the documents that a rejected or withdrawn one replaces."""
    if outcome not in ("rejected", "withdrawn"):
        return
    for study in items(report, "PredecessorDocumentsSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for instance in items(series, "ReferencedSOPSequence"):
                if text(instance, "ReferencedSOPClassUID") == text(report, "SOPClassUID"):
                    before = text(instance, "ReferencedSOPInstanceUID")
                    yield _object(
                        report,
                        derived_uid("key-images-series", before),
                        str(KeyObjectSelectionDocumentStorage),
                        key_images_uid(before),
                    )


def _object(report: Dataset, series_uid: str, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return the attributes that highdicom needs of an object that it references."""
    made = taken_from(report)
    made.SeriesInstanceUID = series_uid
    made.SOPClassUID, made.SOPInstanceUID = sop_class_uid, sop_instance_uid
    return made

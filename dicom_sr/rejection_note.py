"""A rejection note: the Key Object Selection that rejects documents in an archive (IHE IOCM).

Source: IHE RAD TF-2 4.66 (Imaging Object Change Management); PS3.3 A.35.4; PS3.16 TID 2010, CID 7011.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_sr import codes
from dicom_sr.assembly import content_digest_uid, file_meta_of
from dicom_sr.header import DocumentState, SeriesPlace, code_item, evidence, new_document
from dicom_sr.identifiers import series_uid
from dicom_sr.labels import NOTE_DESCRIPTION
from dicom_sr.source import study_header
from dicom_sr.values import Algorithm, DocumentReference, SourceStudy

Why = Literal["quality", "patient_safety"]
_TITLE: dict[Why, Code] = {
    "quality": codes.REJECTED_FOR_QUALITY,
    "patient_safety": codes.REJECTED_FOR_SAFETY,
}
_SERIES_NUMBER = 9099  # before the documents' own series
# Attributes of a report's header that a Key Object Selection does not have.
_NOT_HERE = (
    "CompletionFlag",
    "CompletionFlagDescription",
    "VerificationFlag",
    "PreliminaryFlag",
    "AuthorObserverSequence",
    "PerformedProcedureCodeSequence",
)


def build_rejection_note(
    study: SourceStudy,
    rejected: Sequence[DocumentReference],
    why: Why,
    algorithm: Algorithm,
    *,
    created: datetime.datetime,
) -> Dataset:
    """The rejection note for documents.

    Args:
        study: headers of the images that the documents were made from, with the patient that they name.
        rejected: the documents; at least one.
        why: a radiologist rejected the content (113001), or it is on the wrong patient (113037).
        algorithm: the model that wrote the documents.
        created: aware time of the note.

    Raises:
        SourceIdentityError: the study cannot be named in a document.
        MixedStudyError: images of several studies or patients.
    """
    header = study_header(study.images)
    note = new_document(
        KeyObjectSelectionDocumentStorage,
        header,
        algorithm,
        DocumentState(completion="COMPLETE", completion_description=""),
        SeriesPlace(number=_SERIES_NUMBER, description=NOTE_DESCRIPTION),
        created,
    )
    for keyword in _NOT_HERE:
        delattr(note, keyword)
    note.Modality = "KO"
    note.CurrentRequestedProcedureEvidenceSequence = evidence(rejected)
    title = _TITLE[why]
    note.ValueType, note.ContinuityOfContent = "CONTAINER", "SEPARATE"
    note.ConceptNameCodeSequence = [code_item(title.value, title.scheme_designator, title.meaning)]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    note.ContentTemplateSequence = [template]
    note.ContentSequence = [_composite(one) for one in rejected]
    note.SOPInstanceUID = content_digest_uid(note)
    note.SeriesInstanceUID = series_uid(note.SOPInstanceUID)
    note.file_meta = file_meta_of(note)
    return note


def _composite(reference: DocumentReference) -> Dataset:
    """TID 2010 row 5: one rejected document."""
    referenced = Dataset()
    referenced.ReferencedSOPClassUID = reference.sop_class_uid
    referenced.ReferencedSOPInstanceUID = reference.sop_instance_uid
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "COMPOSITE"
    item.ReferencedSOPSequence = [referenced]
    return item

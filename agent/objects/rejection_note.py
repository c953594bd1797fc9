"""Rejection notes from an archive or a modality: Key Object Selections that reject images.

Source: IHE RAD TF-2 4.66, Imaging Object Change Management (IOCM); PS3.16 CID 7011; PS3.3 A.35.4.
"""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import KeyObjectSelectionDocumentStorage

from agent.foundation.errors import UnreadableInstance
from agent.objects.header import Header
from dicom_sr import tree
from dicom_sr.attributes import FOREIGN_ERRORS

# The SOP class of a Key Object Selection, as rows hold it.
NOTE_CLASS = str(KeyObjectSelectionDocumentStorage)
# Rejected for Quality Reasons, for Patient Safety Reasons, Incorrect Modality Worklist Entry. An expired
# retention time (113039) is not among them: the images were right.
REJECTING_TITLES = frozenset({"113001", "113037", "113038"})
_LARGEST_NOTE = 4 * 1024 * 1024


def is_key_object(header: Header) -> bool:
    """Whether an object is a Key Object Selection."""
    return header.sop_class_uid == KeyObjectSelectionDocumentStorage


def is_rejection_note(header: Header) -> bool:
    """Whether an object is a Key Object Selection that rejects images."""
    return is_key_object(header) and header.document_title in REJECTING_TITLES


def rejected_instances(path: Path) -> frozenset[str]:
    """Return the SOP Instance UIDs that a rejection note names.

    Raises:
        UnreadableInstance: it cannot be read, so the rejected instances are unknown.
    """
    try:
        if path.stat().st_size > _LARGEST_NOTE:
            raise UnreadableInstance("a rejection note is larger than 4 MB: look at its sender")
        document = dcmread(path)
    except (InvalidDicomError, *FOREIGN_ERRORS) as error:
        raise UnreadableInstance("a rejection note cannot be read: resend it") from error
    named = frozenset(
        tree.words(instance, "ReferencedSOPInstanceUID")
        for study in tree.items(document, "CurrentRequestedProcedureEvidenceSequence")
        for series in tree.items(study, "ReferencedSeriesSequence")
        for instance in tree.items(series, "ReferencedSOPSequence")
    )
    if not named - {""}:
        raise UnreadableInstance("a rejection note names no image that can be read: resend it")
    return named

"""The top-level attributes of an image that the service reads; everything else is never parsed.

Values without items are cheap, so whole groups of them are read. Each item of a sequence costs memory, so
sequences are named one by one; `tests/unit/agent/objects/test_guarded_read.py` finds any that the code uses
but this list omits.
"""

from __future__ import annotations

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_dict

# Identification, patient, acquisition, relationship, image, study, procedure, view, Presentation LUT Shape.
_GROUPS = frozenset({0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0032, 0x0040, 0x0054, 0x2050})
SEQUENCES = (
    "AnatomicRegionSequence",
    "DerivationCodeSequence",
    "InstitutionCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "IssuerOfPatientIDQualifiersSequence",
    "ModalityLUTSequence",
    "OrderFillerIdentifierSequence",
    "OrderPlacerIdentifierSequence",
    "OriginalAttributesSequence",
    "OtherPatientIDsSequence",
    "PatientSpeciesCodeSequence",
    "PerformedProtocolCodeSequence",
    "PixelIntensityRelationshipLUTSequence",
    "PresentationLUTSequence",
    "PrimaryAnatomicStructureSequence",
    "ProcedureCodeSequence",
    "ProjectionEponymousNameCodeSequence",
    "ReasonForRequestedProcedureCodeSequence",
    "ReferencedPerformedProcedureStepSequence",
    "ReferencedRequestSequence",
    "ReferencedStudySequence",
    "RequestAttributesSequence",
    "RequestedProcedureCodeSequence",
    "SourceImageSequence",
    "VOILUTSequence",
    "ViewCodeSequence",
)
_SEQUENCE_TAGS = frozenset(keyword_dict[keyword] for keyword in SEQUENCES)


def is_used(tag: int) -> bool:
    """Whether a top-level element is read."""
    if tag >> 16 not in _GROUPS:
        return False
    entry = DicomDictionary.get(tag)
    return entry is not None and (entry[0] != "SQ" or tag in _SEQUENCE_TAGS)

"""Builds a complete object from a content tree: header, evidence, derived UIDs, bytes."""

from __future__ import annotations

import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_sr import codes
from dicom_sr.coding_schemes import identifications, schemes_in
from dicom_sr.content import Item
from dicom_sr.content_encoding import content_sequence_value
from dicom_sr.header import DocumentState, SeriesPlace, add_evidence, new_document
from dicom_sr.identifiers import derived_uid, instance_uid, series_uid
from dicom_sr.measurement_report import DocumentContext
from dicom_sr.source import (
    ImageReference,
    StudyHeader,
    image_references,
    prior_references,
    shows_chest,
    study_header,
)
from dicom_sr.terminology import Terminology, default_terminology
from dicom_sr.values import Algorithm, DocumentReference, SourceStudy, Verification

IMPLEMENTATION_CLASS_UID = derived_uid("implementation", "echo-agent", "structured-reports", "1")
IMPLEMENTATION_VERSION_NAME = "ECHO_AGENT_SR_1"
_CONTENT_SEQUENCE = Tag(0x0040, 0xA730)
_OWN_UIDS = {Tag(0x0008, 0x0018), Tag(0x0020, 0x000E)}  # SOP and Series Instance UID


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The values common to the documents of one revision."""

    header: StudyHeader
    context: DocumentContext
    priors: Sequence[ImageReference]
    created: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentParts:
    """The values that distinguish one document of a revision."""

    sop_class_uid: str
    tree: Item
    state: DocumentState
    series: SeriesPlace
    also_evidence: Sequence[DocumentReference] = ()
    predecessors: Sequence[DocumentReference] = ()


def open_frame(
    study: SourceStudy,
    algorithm: Algorithm,
    created: datetime.datetime,
    locale: str,
    terminology: Terminology | None,
    verification: Verification | None = None,
    *,
    drafted: bool = True,
) -> Frame:
    """Read the study's headers once for all its documents.

    drafted: whether the images were accepted as chest radiographs; then only an image that states otherwise
    changes the procedure reported.

    Raises:
        SourceIdentityError: an image cannot be named in a document.
        MixedStudyError: images of several studies or patients.
    """
    header = study_header(study.images)
    chest = [shows_chest(image) for image in study.images]
    is_chest = False not in chest if drafted else all(chest)
    context = DocumentContext(
        algorithm=algorithm,
        terminology=terminology or default_terminology(),
        images=image_references(study.images),
        study_instance_uid=header.study_instance_uid,
        language=locale,
        procedure=codes.CHEST_RADIOGRAPHY if is_chest else codes.RADIOGRAPHY,
        verification=verification,
    )
    return Frame(header=header, context=context, priors=prior_references(study), created=created)


def assemble(frame: Frame, parts: DocumentParts) -> Dataset:
    """Return a finished document; its UIDs are derived from all of its other bytes."""
    document = new_document(
        parts.sop_class_uid,
        frame.header,
        frame.context.algorithm,
        parts.state,
        parts.series,
        frame.created,
    )
    add_evidence(document, [*frame.context.images, *parts.also_evidence], frame.priors, parts.predecessors)
    schemes = identifications(schemes_in(document, parts.tree))
    if schemes:
        document.CodingSchemeIdentificationSequence = schemes
    # The tree is already in this encoding; declaring this lets pydicom write its bytes unchanged.
    document.set_original_encoding(False, True, convert_encodings(document.SpecificCharacterSet))
    _add_tree(document, parts.tree)
    document.SOPInstanceUID = content_digest_uid(document)
    document.SeriesInstanceUID = series_uid(document.SOPInstanceUID)
    document.file_meta = file_meta_of(document)
    return document


def encode(document: Dataset) -> bytes:
    """The document as a DICOM file (PS3.10), Explicit VR Little Endian; the same bytes every time."""
    document.file_meta = file_meta_of(document)
    buffer = io.BytesIO()
    dcmwrite(buffer, document, enforce_file_format=True)
    return buffer.getvalue()


def _add_tree(document: Dataset, root: Item) -> None:
    """The root's attributes, and the tree below it as an element that pydicom parses when asked."""
    document.ValueType = root.value_type.value
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator = root.name.value, root.name.scheme_designator
    name.CodeMeaning = root.name.meaning
    document.ConceptNameCodeSequence = [name]
    document.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", root.template
    document.ContentTemplateSequence = [template]
    value = content_sequence_value(root.children)
    document[_CONTENT_SEQUENCE] = RawDataElement(
        tag=_CONTENT_SEQUENCE,
        VR="SQ",
        length=len(value),
        value=value,
        value_tell=0,
        is_implicit_VR=False,
        is_little_endian=True,
    )


def content_digest_uid(document: Dataset) -> str:
    """The SOP Instance UID that a document must have, derived from all of its bytes except its own UIDs."""
    bare = Dataset()
    for tag in set(document.keys()) - _OWN_UIDS:
        bare[tag] = document.get_item(tag)
    bare.set_original_encoding(False, True, convert_encodings(document.get("SpecificCharacterSet", "")))
    return instance_uid(_dataset_bytes(bare))


def _dataset_bytes(document: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, document, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def file_meta_of(document: Dataset) -> FileMetaDataset:
    """The file meta information of a document."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta

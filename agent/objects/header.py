"""The attributes of a received dataset that routing needs, read from its bytes, with a check for
completeness.

The listener never decodes a dataset. It walks the element headers (`agent.objects.element_walk`),
which also proves that every length fits, and keeps the few values that intake and eligibility ask for.
"""

from __future__ import annotations

import mmap
import re
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydicom.charset import decode_bytes, python_encoding

from agent.foundation.errors import InstanceMissing, UnreadableInstance
from agent.objects.element_walk import MAXIMUM_ITEMS, Buffer, Path, Scan, scan_dataset, scan_file_meta
from dicom_sr.charset import GUESSED_FROM, decoded, encoded_codecs, guess_of
from dicom_sr.charset_guess import read_as

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
STAT_PRIORITY, HIGH_PRIORITY, ROUTINE_PRIORITY = 0, 20, 50

# A deflated dataset may not grow beyond this (bytes), so that a few kilobytes cannot fill the memory.
MAXIMUM_INFLATED = 64 * 1024 * 1024
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
# Our file meta information is far shorter (bytes).
_LONGEST_META = 1024
_inflating = threading.Lock()

# The attributes that are kept, by keyword; inside a sequence, those of its first item.
_TAGS = {
    "SpecificCharacterSet": (0x00080005,),
    "SOPClassUID": (0x00080016,),
    "SOPInstanceUID": (0x00080018,),
    "StudyDate": (0x00080020,),
    "StudyTime": (0x00080030,),
    "AccessionNumber": (0x00080050,),
    "Modality": (0x00080060,),
    "PresentationIntentType": (0x00080068,),
    "StudyDescription": (0x00081030,),
    "SeriesDescription": (0x0008103E,),
    "AcquisitionDeviceProcessingDescription": (0x00181400,),
    "RequestedProcedureDescription": (0x00321060,),
    "PerformedProcedureStepDescription": (0x00400254,),
    "RequestProcedure": (0x00400275, 0x00321060),
    "RequestStep": (0x00400275, 0x00400007),
    "PatientName": (0x00100010,),
    "PatientID": (0x00100020,),
    "IssuerOfPatientID": (0x00100021,),
    "PatientBirthDate": (0x00100030,),
    "PatientSex": (0x00100040,),
    "BodyPartExamined": (0x00180015,),
    "ProtocolName": (0x00181030,),
    "ViewPosition": (0x00185101,),
    "PatientSpeciesDescription": (0x00102201,),
    "PatientSpecies": (0x00102202, 0x00080100),
    "QualityControlImage": (0x00280300,),
    "StudyInstanceUID": (0x0020000D,),
    "SeriesInstanceUID": (0x0020000E,),
    "NumberOfFrames": (0x00280008,),
    "StudyPriorityID": (0x0032000C,),
    "RequestedProcedurePriority": (0x00401003,),
    "RequestPriority": (0x00400275, 0x00401003),
    "DocumentTitle": (0x0040A043, 0x00080100),
}
# Sequences of codes, of which every item is kept (up to eight).
_CODES = {
    "AnatomicRegionSequence": 0x00082218,
    "PrimaryAnatomicStructureSequence": 0x00082228,
    "ViewCodeSequence": 0x00540220,
    "ProcedureCodeSequence": 0x00081032,
    "RequestedProcedureCodeSequence": 0x00321064,
    "PerformedProtocolCodeSequence": 0x00400260,
}
_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID")
_VALUE, _SCHEME, _MEANING, _LONG_VALUE = 0x00080100, 0x00080102, 0x00080104, 0x00080119
WANTED: frozenset[Path] = frozenset(_TAGS.values()) | {
    (sequence, tag) for sequence in _CODES.values() for tag in (_VALUE, _SCHEME, _MEANING, _LONG_VALUE)
}
# Declared character sets that have no letter beyond ASCII.
_ASCII_ONLY = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One item of a sequence of codes; empty text for what it does not state."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A dataset's identity and the attributes used by the eligibility rules; empty text for what is
    absent."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str = ""
    modality: str = ""
    body_part_examined: str = ""
    view_position: str = ""
    anatomic_regions: tuple[Code, ...] = ()
    primary_structures: tuple[Code, ...] = ()
    view_codes: tuple[Code, ...] = ()
    procedure_codes: tuple[Code, ...] = ()
    protocol_codes: tuple[Code, ...] = ()
    presentation_intent_type: str = ""
    study_description: str = ""
    series_description: str = ""
    protocol_name: str = ""
    processing_description: str = ""
    performed_step_description: str = ""
    # The descriptions of the requested procedure and of its step.
    requested_procedures: tuple[str, ...] = ()
    # The bytes of non-ASCII texts without a declared character set, by field.
    undeclared: tuple[tuple[str, bytes], ...] = ()
    # Quality Control Image, and the patient's species in words and as a code value.
    quality_control_image: str = ""
    species: str = ""
    species_code: str = ""
    number_of_frames: int = 1
    has_pixel_data: bool = True
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_time: str = ""
    # The code of a document's title (Concept Name Code Sequence); empty for an image.
    document_title: str = ""
    # 0 STAT, 20 high, 50 routine.
    priority: int = ROUTINE_PRIORITY

    @property
    def anatomic_region(self) -> str:
        """The first anatomic region's code value."""
        return self.anatomic_regions[0].value if self.anatomic_regions else ""


def read_header(data: Buffer, transfer_syntax_uid: str) -> Header:
    """Read the header of an encoded dataset (no preamble, no file meta) and check that it is whole.

    Raises:
        UnreadableInstance: a length that does not fit, an unknown structure, a deflated dataset of more
            than 64 MB, or no valid SOP Class, SOP Instance or Study Instance UID.
    """
    if transfer_syntax_uid == DEFLATED_LITTLE:
        with _inflating:
            return _header_of(_scan(inflate(data), transfer_syntax_uid), transfer_syntax_uid)
    return _header_of(_scan(data, transfer_syntax_uid), transfer_syntax_uid)


def read_stored(path: FilePath) -> Header:
    """Read the header of a file of the instance store.

    Raises:
        InstanceMissing: the file is not there.
        UnreadableInstance: it is not a complete DICOM file.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            meta = scan_file_meta(view)
            with view[meta.dataset_at :] as dataset:
                return read_header(dataset, meta.transfer_syntax_uid)
    except FileNotFoundError as error:
        raise InstanceMissing("an instance's file is gone: resend the study") from error
    except ValueError as error:
        raise UnreadableInstance("the stored file is empty") from error


def is_prior(path: FilePath) -> bool:
    """Whether a file in the instance store was retrieved as an earlier study: it names the AE title for
    those.

    Raises:
        InstanceMissing, UnreadableInstance: as `read_stored`.
    """
    try:
        with path.open("rb") as file:
            return bool(scan_file_meta(file.read(_LONGEST_META)).receiving_ae_title)
    except FileNotFoundError as error:
        raise InstanceMissing("an instance's file is gone: resend the study") from error


def _scan(data: Buffer, transfer_syntax_uid: str) -> Scan:
    return scan_dataset(
        data,
        implicit=transfer_syntax_uid == IMPLICIT_LITTLE,
        little=transfer_syntax_uid != EXPLICIT_BIG,
        wanted=WANTED,
    )


def inflate(data: Buffer) -> bytes:
    """Return the bytes of a deflated dataset.

    Raises:
        UnreadableInstance: damaged, cut off, or larger than 64 MB.
    """
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAXIMUM_INFLATED)
    except zlib.error as error:
        raise UnreadableInstance("the deflated dataset is damaged") from error
    if not inflater.eof:
        raise UnreadableInstance("the deflated dataset is cut off, or larger than 64 MB")
    return inflated


def _header_of(scan: Scan, transfer_syntax_uid: str) -> Header:
    raw = {keyword: scan.values.get(path, b"") for keyword, path in _TAGS.items()}
    declared = raw["SpecificCharacterSet"]
    # The patient's identity is read in the same way as for the documents.
    codecs = encoded_codecs(declared, (raw[keyword] for keyword in GUESSED_FROM))
    guess = guess_of(codecs)
    text = {keyword: _text(value, declared, guess) for keyword, value in raw.items()}
    for keyword in _PATIENT:
        value = decoded(raw[keyword], codecs, is_name=keyword == "PatientName")
        text[keyword] = "".join(character for character in value if character.isprintable()).strip()
    codes = {keyword: _codes(scan, sequence, declared, guess) for keyword, sequence in _CODES.items()}
    return Header(
        sop_class_uid=_uid(raw, "SOPClassUID"),
        sop_instance_uid=_uid(raw, "SOPInstanceUID"),
        study_instance_uid=_uid(raw, "StudyInstanceUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        series_instance_uid=text["SeriesInstanceUID"][:64],
        modality=text["Modality"],
        body_part_examined=text["BodyPartExamined"],
        view_position=text["ViewPosition"],
        anatomic_regions=codes["AnatomicRegionSequence"],
        primary_structures=codes["PrimaryAnatomicStructureSequence"],
        view_codes=codes["ViewCodeSequence"],
        procedure_codes=codes["ProcedureCodeSequence"] + codes["RequestedProcedureCodeSequence"],
        protocol_codes=codes["PerformedProtocolCodeSequence"],
        presentation_intent_type=text["PresentationIntentType"],
        study_description=text["StudyDescription"],
        series_description=text["SeriesDescription"],
        protocol_name=text["ProtocolName"],
        processing_description=text["AcquisitionDeviceProcessingDescription"],
        performed_step_description=text["PerformedProcedureStepDescription"],
        requested_procedures=tuple(
            text[keyword]
            for keyword in ("RequestedProcedureDescription", "RequestProcedure", "RequestStep")
            if text[keyword]
        ),
        undeclared=_undeclared(raw, declared),
        quality_control_image=text["QualityControlImage"],
        species=text["PatientSpeciesDescription"],
        species_code=text["PatientSpecies"],
        number_of_frames=_number(text["NumberOfFrames"]),
        has_pixel_data=scan.has_pixel_data,
        patient_id=text["PatientID"],
        issuer_of_patient_id=text["IssuerOfPatientID"],
        patient_name=text["PatientName"],
        patient_birth_date=text["PatientBirthDate"],
        patient_sex=text["PatientSex"],
        accession_number=text["AccessionNumber"],
        study_date=text["StudyDate"],
        study_time=text["StudyTime"],
        document_title=text["DocumentTitle"],
        priority=_priority(
            text["RequestedProcedurePriority"], text["RequestPriority"], text["StudyPriorityID"]
        ),
    )


def _uid(raw: dict[str, bytes], keyword: str) -> str:
    value = raw[keyword].rstrip(b"\0 ").decode("ascii", errors="replace").strip()
    if len(value) > 64 or not _UID.fullmatch(value):
        # The value itself is not shown: it may be a misplaced attribute of the patient.
        raise UnreadableInstance(f"{keyword} is missing or not a UID")
    return value


def _codes(scan: Scan, sequence: int, declared: bytes, guess: str) -> tuple[Code, ...]:
    """Return a sequence's codes; items without any value are left out."""
    found = []
    for item in range(MAXIMUM_ITEMS):
        value, scheme, meaning, long_value = (
            _text(scan.values.get((sequence, tag, item) if item else (sequence, tag), b""), declared, guess)
            for tag in (_VALUE, _SCHEME, _MEANING, _LONG_VALUE)
        )
        if value or long_value or meaning:
            found.append(Code(value=value or long_value, scheme=scheme, meaning=meaning))
    return tuple(found)


# The texts that routing decodes itself, by field of `Header`; for all others the character set is guessed
# here.
_ROUTED = {
    "body_part_examined": "BodyPartExamined",
    "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName",
    "processing_description": "AcquisitionDeviceProcessingDescription",
    "performed_step_description": "PerformedProcedureStepDescription",
    "study_description": "StudyDescription",
    "view_position": "ViewPosition",
}


def _undeclared(raw: dict[str, bytes], declared: bytes) -> tuple[tuple[str, bytes], ...]:
    found = []
    for field, keyword in _ROUTED.items():
        value = raw[keyword].rstrip(b"\0 ")
        if not value.isascii() and b"\x1b" not in value and not _fits(value, _terms(declared)):
            found.append((field, value))
    return tuple(found)


def _fits(value: bytes, terms: list[str]) -> bool:
    """Whether a value that is not ASCII is valid in the declared character set."""
    if terms[0] in _ASCII_ONLY:
        return False
    try:
        value.decode(python_encoding.get(terms[0], "ascii"))
    except (LookupError, UnicodeDecodeError):
        return False
    return True


def _terms(declared: bytes) -> list[str]:
    return [term.strip() for term in declared.rstrip(b"\0 ").decode("ascii", errors="replace").split("\\")]


def _text(value: bytes, declared: bytes, guess: str) -> str:
    value, terms = value.rstrip(b"\0 "), _terms(declared)
    encodings = [python_encoding.get(term, "iso8859") for term in terms]
    try:
        if 0x1B in value:
            words = decode_bytes(value, encodings, {0x0D, 0x0A, 0x09, 0x0C})
        elif value.isascii() or _fits(value, terms):
            words = value.decode(encodings[0] or "iso8859", errors="replace")
        else:
            _encoding, words = read_as(value, guess)
    except (LookupError, ValueError, UserWarning):
        # A wrong character set is no reason to refuse an image (PS3.4 B.2.3: store what was sent).
        words = value.decode("latin-1")
    # Control characters mean nothing here, and PostgreSQL cannot keep a NUL.
    return "".join(character for character in words if character.isprintable()).strip()


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 1


def _priority(*values: str) -> int:
    words = {value.upper() for value in values}
    if "STAT" in words:
        return STAT_PRIORITY
    return HIGH_PRIORITY if "HIGH" in words else ROUTINE_PRIORITY

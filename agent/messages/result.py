"""The content of a message about one revision of a study."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.messages.result_status import ResultStatus
from model.findings.types import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The assigner of an identifier (HL7 HD): a local name, or a universal identifier of a type such as
    ISO.
    """

    namespace: str = ""
    universal_id: str = ""
    universal_id_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The patient, as in the documents of the same draft; a name has the form of a DICOM PN."""

    patient_id: str
    authority: Authority
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The order that the study fulfils, as far as it is known; times are DICOM DA and TM."""

    accession_number: str
    accession_authority: Authority
    placer_number: str
    filler_number: str
    procedure_id: str
    # Code value, coding scheme designator, code meaning; or empty.
    procedure_code: tuple[str, str, str] | None
    procedure: str
    referring_physician: str
    study_date: str
    study_time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentName:
    """One DICOM document of the same draft."""

    role: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One revision of a study's result.

    uid: the message's own, derived so that a rebuilt message has the same. earlier: the last message that
    this receiver was sent about the study, unchanged; empty if there is none. created: when the documents
    were written, aware. priority: smaller is more urgent (0 STAT, 50 routine). notices: what the reader must
    know about the draft. reason: why it is withdrawn. verifier: the radiologist (DICOM PN), if one has
    verified it. pdf: the report as a PDF, for a receiver that wants it.
    """

    uid: str
    status: ResultStatus
    study_instance_uid: str
    revision: int
    subject: Subject
    request: Request
    findings_sentences: tuple[str, ...]
    impression_sentences: tuple[str, ...]
    findings: tuple[Finding, ...]
    notices: tuple[str, ...]
    reason: str
    verifier: str
    priority: int
    urgency: str
    software: str
    software_version: str
    demonstration: bool
    documents: tuple[DocumentName, ...]
    created: datetime
    earlier: bytes = b""
    pdf: bytes = b""

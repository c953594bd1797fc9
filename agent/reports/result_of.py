"""Takes the values of a message from a draft's row and one of its documents. Pure.

The patient and the order are read from the document that the archive gets, so that no message can name
another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydicom import Dataset

from agent.messages.result import Authority, DocumentName, Request, Result, Subject
from agent.messages.result_status import ResultStatus
from agent.reports.edited_report import drafted_report
from dicom_sr import elements
from dicom_sr.attributes import items, text
from model.findings.stored import finding_of


def result_of(
    document: Dataset,
    content: Mapping[str, Any],
    *,
    uid: str,
    status: ResultStatus,
    report: str,
    revision: int,
    priority: int,
    model_name: str,
    demonstration: bool,
    documents: Sequence[DocumentName],
    created: datetime,
    reason: str = "",
) -> Result:
    """Return the content of a message.

    document: a Structured Report of the same draft, for patient and order. content: from the draft's row.
    """
    drafted = drafted_report(content, report) if report else None
    urgency = content.get("urgency") or {}
    return Result(
        uid=uid,
        status=status,
        study_instance_uid=text(document, "StudyInstanceUID"),
        revision=revision,
        subject=_subject(document),
        request=_request(document),
        findings_sentences=() if drafted is None else drafted.findings,
        impression_sentences=() if drafted is None else drafted.impression,
        findings=tuple(finding_of(one) for one in content.get("findings", ())),
        notices=tuple(flag["text"] for flag in content.get("flags", ())),
        reason=reason or str(content.get("reason") or ""),
        verifier=_verifier(document) if status in (ResultStatus.FINAL, ResultStatus.CORRECTED) else "",
        priority=priority,
        urgency=str(urgency.get("reason") or ""),
        software=model_name,
        software_version=str((content.get("algorithm") or {}).get("version") or "unknown"),
        demonstration=demonstration,
        documents=tuple(documents),
        created=created,
    )


def _subject(document: Dataset) -> Subject:
    return Subject(
        patient_id=text(document, "PatientID"),
        authority=_issuer(document),
        name=elements.person_name(document, "PatientName"),
        birth_date=text(document, "PatientBirthDate"),
        sex=text(document, "PatientSex"),
    )


def _issuer(document: Dataset) -> Authority:
    """Return the assigner of the Patient ID; a plain name is its namespace."""
    name = text(document, "IssuerOfPatientID")
    for item in items(document, "IssuerOfPatientIDQualifiersSequence"):
        return Authority(
            namespace=name,
            universal_id=text(item, "UniversalEntityID"),
            universal_id_type=text(item, "UniversalEntityIDType"),
        )
    return Authority(namespace=name)


def _request(document: Dataset) -> Request:
    """Return the order; of several requested procedures the first one counts, as one report answers it."""
    requested = next(iter(items(document, "ReferencedRequestSequence")), Dataset())
    code = next(iter(items(requested, "RequestedProcedureCodeSequence")), None)
    return Request(
        accession_number=text(document, "AccessionNumber") or text(requested, "AccessionNumber"),
        accession_authority=_authority(document, "IssuerOfAccessionNumberSequence") or Authority(),
        placer_number=text(requested, "PlacerOrderNumberImagingServiceRequest"),
        filler_number=text(requested, "FillerOrderNumberImagingServiceRequest"),
        procedure_id=text(requested, "RequestedProcedureID"),
        procedure_code=None
        if code is None
        else (text(code, "CodeValue"), text(code, "CodingSchemeDesignator"), text(code, "CodeMeaning")),
        procedure=text(requested, "RequestedProcedureDescription") or text(document, "StudyDescription"),
        referring_physician=elements.person_name(document, "ReferringPhysicianName"),
        study_date=text(document, "StudyDate"),
        study_time=text(document, "StudyTime"),
    )


def _authority(document: Dataset, keyword: str) -> Authority | None:
    for item in items(document, keyword):
        return Authority(
            namespace=text(item, "LocalNamespaceEntityID"),
            universal_id=text(item, "UniversalEntityID"),
            universal_id_type=text(item, "UniversalEntityIDType"),
        )
    return None


def _verifier(document: Dataset) -> str:
    observers = items(document, "VerifyingObserverSequence")
    return elements.person_name(observers[0], "VerifyingObserverName") if observers else ""

"""A result as a FHIR R4 transaction bundle. Pure.

DiagnosticReport (`preliminary` until verified; `final` or `amended` after a radiologist's verdict), an
Observation for each finding, ImagingStudy, Device, Provenance. Every entry is conditional on its own
identifier or has a derived id: sending a bundle again creates no duplicates, and a later revision replaces
the earlier one. The same result always gives the same bytes.

Source: FHIR R4 http.html#transaction, diagnosticreport, observation, imagingstudy, provenance.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from agent.foundation.document_roles import DocumentRole
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.messages.fhir.observations import ended, observations
from agent.messages.fhir.terms import (
    DEVICE_SYSTEM,
    DICOM_UID,
    OBSERVATION_SYSTEM,
    REPORT_STATUS,
    RESULT_SYSTEM,
    Resource,
    authority_system,
    concept,
    full_url,
    identifier,
    resource_id,
    system_of,
)
from agent.messages.result import Result
from agent.messages.result_status import ResultStatus
from dicom_sr import codes, labels
from dicom_sr.sheet import spoken_name
from dicom_sr.values import BANNER

_RADIOLOGY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}
_ASSEMBLER = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def write_bundle(destination: DestinationSettings, result: Result) -> Sequence[tuple[DocumentRole, bytes]]:
    """Return the message of a result: one transaction bundle.

    Raises:
        ValueError: the destination has no FHIR settings.
    """
    if destination.fhir is None:
        raise ValueError("a destination of kind `fhir` needs its section `fhir`")
    content = json.dumps(bundle(destination.fhir, result), ensure_ascii=False, sort_keys=True)
    return [(DocumentRole.MESSAGE, content.encode())]


def bundle(settings: FhirDestinationSettings, result: Result) -> Resource:
    """Return one revision of a study's result as a transaction bundle."""
    status = REPORT_STATUS[result.status]
    subject = _subject(settings, result)
    study = _entry("ImagingStudy", DICOM_UID, f"urn:oid:{result.study_instance_uid}", _study(result, subject))
    study["request"] = {
        "method": "POST",
        "url": "ImagingStudy",
        "ifNoneExist": _search(DICOM_UID, f"urn:oid:{result.study_instance_uid}"),
    }
    software = f"{result.software}/{result.software_version or 'unknown'}"
    device = _entry("Device", DEVICE_SYSTEM, software, _device(result, software))
    shared: Resource = {"subject": subject, "device": {"reference": device["fullUrl"]}}
    if result.request.study_date:
        shared["effectiveDateTime"] = _date(result.request.study_date)
    stated = [] if result.status is ResultStatus.WITHDRAWN else observations(result, status, shared)
    past = list(ended(result.earlier, stated))
    findings = [
        _entry("Observation", OBSERVATION_SYSTEM, one["identifier"][0]["value"], one)
        for one in (*stated, *past)
    ]
    report = _report(settings, result, subject, status)
    report["imagingStudy"] = [{"reference": study["fullUrl"]}]
    if stated:
        report["result"] = [{"reference": one["fullUrl"]} for one in findings[: len(stated)]]
    report["performer"] = [{"reference": device["fullUrl"]}]
    main = _entry("DiagnosticReport", RESULT_SYSTEM, result.study_instance_uid, report)
    entries = [device, study, *findings, main, _provenance(result, main["fullUrl"], device["fullUrl"])]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "identifier": identifier(RESULT_SYSTEM, result.uid),
        "timestamp": result.created.isoformat(timespec="seconds"),
        "entry": entries,
    }


def _entry(kind: str, system: str, value: str, resource: Resource) -> Resource:
    """Return an entry that replaces the resource with this identifier, or creates it."""
    return {
        "fullUrl": full_url(kind, value),
        "resource": resource,
        "request": {"method": "PUT", "url": f"{kind}?{_search(system, value)}"},
    }


def _search(system: str, value: str) -> str:
    # Unescaped, a comma separates alternatives, and a bar the system from the value.
    plain = value.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
    return f"identifier={quote(system, safe=':')}|{quote(plain, safe=':.')}"


def _subject(settings: FhirDestinationSettings, result: Result) -> Resource:
    patient = result.subject
    system = authority_system(patient.authority, settings.patient_system)
    if settings.patient_reference == "search":
        return {"reference": f"Patient?{_search(system, patient.patient_id)}"}
    return {
        "type": "Patient",
        "identifier": identifier(system, patient.patient_id),
        "display": spoken_name(patient.name) or patient.patient_id,
    }


def _study(result: Result, subject: Resource) -> Resource:
    made: Resource = {
        "resourceType": "ImagingStudy",
        "identifier": [identifier(DICOM_UID, f"urn:oid:{result.study_instance_uid}")],
        "status": "available",
        "subject": subject,
    }
    if result.request.study_date:
        made["started"] = _date(result.request.study_date)
    return made


def _device(result: Result, software: str) -> Resource:
    return {
        "resourceType": "Device",
        "identifier": [identifier(DEVICE_SYSTEM, software)],
        "status": "active",
        "deviceName": [{"name": result.software, "type": "model-name"}],
        "version": [{"value": result.software_version or "unknown"}],
        "type": {"text": "Software that drafts radiology reports"},
    }


def _report(settings: FhirDestinationSettings, result: Result, subject: Resource, status: str) -> Resource:
    withdrawn = result.status is ResultStatus.WITHDRAWN
    order = result.request
    name = order.procedure_code
    made: Resource = {
        "resourceType": "DiagnosticReport",
        "identifier": [identifier(RESULT_SYSTEM, result.study_instance_uid)],
        "status": status,
        "category": [_RADIOLOGY],
        "code": concept(codes.CHEST_RADIOGRAPHY)
        if name is None
        else {"coding": [_coding(*name)], "text": name[2] or order.procedure},
        "subject": subject,
        "issued": result.created.isoformat(timespec="milliseconds"),
        "text": {"status": "additional", "div": _narrative(result)},
    }
    if order.study_date:
        made["effectiveDateTime"] = _date(order.study_date)
    based_on = _orders(settings, result)
    if based_on:
        made["basedOn"] = based_on
    if result.verifier and not withdrawn:
        made["resultsInterpreter"] = [{"type": "Practitioner", "display": spoken_name(result.verifier)}]
    if not withdrawn:
        if result.impression_sentences:
            made["conclusion"] = "\n".join([*_banner(result), *result.impression_sentences])
        made["presentedForm"] = [
            {
                "contentType": "text/plain; charset=utf-8",
                "language": "en",
                "title": _banner(result)[0],
                "data": base64.b64encode("\n".join(_lines(result)).encode()).decode(),
            }
        ]
    return made


def _coding(value: str, scheme: str, meaning: str) -> Resource:
    made = {"system": system_of(scheme), "code": value}
    return made | {"display": meaning} if meaning else made


def _orders(settings: FhirDestinationSettings, result: Result) -> list[Resource]:
    order = result.request
    named = (
        (
            authority_system(order.accession_authority, settings.accession_system),
            order.accession_number,
            "ACSN",
        ),
        (settings.placer_system, order.placer_number, "PLAC"),
    )
    kinds = "http://terminology.hl7.org/CodeSystem/v2-0203"
    return [
        {
            "type": "ServiceRequest",
            "identifier": identifier(system, value) | {"type": {"coding": [{"system": kinds, "code": kind}]}},
        }
        for system, value, kind in named
        if value
    ]


def _banner(result: Result) -> list[str]:
    """Return the lines at the top of the report."""
    demonstration = [BANNER] if result.demonstration else []
    if result.status is ResultStatus.WITHDRAWN:
        return [labels.WITHDRAWN, *([f"Reason: {result.reason}"] if result.reason else ())]
    if result.status is ResultStatus.UNVERIFIED:
        urgent = [f"Urgency: {result.urgency}"] if result.urgency else []
        return [labels.UNVERIFIED, *demonstration, *urgent, *result.notices]
    return [labels.VERIFIED_COMPLETION, *demonstration]


def _lines(result: Result) -> list[str]:
    if result.status is ResultStatus.WITHDRAWN:
        return _banner(result)
    return [
        *_banner(result),
        "",
        "Findings:",
        *result.findings_sentences,
        "",
        "Impression:",
        *result.impression_sentences,
    ]


def _narrative(result: Result) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in _lines(result) if line)
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'


def _provenance(result: Result, report: str, device: str) -> Resource:
    """Return the author of this revision; each revision has its own Provenance."""
    agents: list[dict[str, Any]] = [
        {"type": {"coding": [{"system": _ASSEMBLER, "code": "assembler"}]}, "who": {"reference": device}}
    ]
    if result.verifier:
        who = {"type": "Practitioner", "display": spoken_name(result.verifier)}
        agents.append({"type": {"coding": [{"system": _ASSEMBLER, "code": "verifier"}]}, "who": who})
    made: Resource = {
        "resourceType": "Provenance",
        "id": resource_id("Provenance", result.uid),
        "target": [{"reference": report}],
        "recorded": result.created.isoformat(timespec="milliseconds"),
        "agent": agents,
    }
    if result.documents:
        made["entity"] = [
            {
                "role": "source",
                "what": {"identifier": identifier(DICOM_UID, f"urn:oid:{one.sop_instance_uid}")},
            }
            for one in result.documents
        ]
    return {
        "fullUrl": full_url("Provenance", result.uid),
        "resource": made,
        "request": {"method": "PUT", "url": f"Provenance/{made['id']}"},
    }


def _date(da: str) -> str:
    """Return a DA value as a FHIR date."""
    return f"{da[:4]}-{da[4:6]}-{da[6:8]}"

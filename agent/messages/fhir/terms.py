"""The identifiers, code systems and statuses of our resources. Pure.

Source: FHIR R4 (4.0.1); PS3.16 chapter 8 (coding scheme designators and their URIs).
"""

from __future__ import annotations

import uuid
from typing import Any

from pydicom.sr.coding import Code

from agent.foundation.fhir_systems import DICOM_UID as DICOM_UID
from agent.foundation.fhir_systems import RESULT_SYSTEM as RESULT_SYSTEM
from agent.messages.result import Authority
from agent.messages.result_status import ResultStatus
from dicom_sr.codes import PRIVATE_SCHEME
from dicom_sr.identifiers import derived_uid

Resource = dict[str, Any]

# The systems of the identifiers that we assign.
OBSERVATION_SYSTEM = "urn:echo-agent:observation"
DEVICE_SYSTEM = "urn:echo-agent:device"
_NAMESPACE = uuid.UUID("b7a7f6f4-6d0c-5a39-9ad5-8d3c5fb0a0b1")
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "SRT": "http://snomed.info/srt",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "RADLEX": "http://radlex.org",
    "UCUM": "http://unitsofmeasure.org",
    "FMA": "http://purl.org/sig/ont/fma",
    PRIVATE_SCHEME: f"urn:oid:{derived_uid('coding-scheme', PRIVATE_SCHEME)}",
}
# DiagnosticReport.status and Observation.status. A withdrawn result was never final here, or was an error.
REPORT_STATUS = {
    ResultStatus.UNVERIFIED: "preliminary",
    ResultStatus.FINAL: "final",
    ResultStatus.CORRECTED: "amended",
    ResultStatus.WITHDRAWN: "entered-in-error",
}


def system_of(scheme: str) -> str:
    """Return the URI of a coding scheme, or a URN of our own if it has none."""
    return _SYSTEMS.get(scheme, f"urn:echo-agent:coding-scheme:{scheme}")


def concept(code: Code) -> Resource:
    """Return a code as a CodeableConcept."""
    coding = {"system": system_of(code.scheme_designator), "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": code.meaning}


def identifier(system: str, value: str) -> Resource:
    """Return an Identifier, without a system if none is known."""
    return {"system": system, "value": value} if system else {"value": value}


def authority_system(authority: Authority, default: str) -> str:
    """Return the identifier system of an issuer: its OID, its URI, or the system in the settings."""
    if authority.universal_id and authority.universal_id_type == "ISO":
        return f"urn:oid:{authority.universal_id}"
    if authority.universal_id_type == "URI" and authority.universal_id:
        return authority.universal_id
    if default:
        return default
    return f"urn:echo-agent:issuer:{authority.namespace}" if authority.namespace else ""


def full_url(kind: str, value: str) -> str:
    """Return the URN with which resources in one bundle refer to each other; it is derived, not random."""
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{kind}|{value}')}"


def resource_id(kind: str, value: str) -> str:
    """Return a logical id (at most 64 letters, digits and hyphens)."""
    return f"echo-{uuid.uuid5(_NAMESPACE, f'{kind}|{value}')}"

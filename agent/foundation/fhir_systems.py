"""FHIR identifier systems of our own resources and of DICOM."""

from __future__ import annotations

# Source: FHIR R4 imagingstudy (identifier of a study); ours are URNs.
DICOM_UID = "urn:dicom:uid"
RESULT_SYSTEM = "urn:echo-agent:result"

"""Identifier systems of FHIR by which resources of ours and of DICOM are known."""

from __future__ import annotations

# Source: FHIR R4 imagingstudy (identifier of a study); ours are URNs.
DICOM_UID = "urn:dicom:uid"
RESULT_SYSTEM = "urn:echo-agent:result"

"""The kinds of destination: what each may be sent, and which settings belong to it.

A new kind is one more entry in each table here; `agent.delivery.ways` connects to it, and if it takes
messages, `agent.reports.messages` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["dicom", "stow", "hl7", "fhir"]
# What a destination may be sent for a draft: the two Structured Reports, the second also as an Encapsulated
# PDF and as a Secondary Capture image, a Key Object Selection of the images, or one message that says the
# same.
SentDocument = Literal["findings", "report", "pdf", "capture", "kos", "result"]

DOCUMENTS: Mapping[str, tuple[SentDocument, ...]] = {
    "dicom": ("findings", "report", "pdf", "capture", "kos"),
    "stow": ("findings", "report", "pdf", "capture", "kos"),
    "hl7": ("result",),
    "fhir": ("result",),
}
# What is sent where the settings name nothing.
DEFAULT_DOCUMENTS: Mapping[str, tuple[SentDocument, ...]] = {
    "dicom": ("findings", "report"),
    "stow": ("findings", "report"),
    "hl7": ("result",),
    "fhir": ("result",),
}
# Kinds that take messages: a later message replaces the earlier one, so order matters.
MESSAGE_KINDS: frozenset[str] = frozenset({"hl7", "fhir"})

_APPLICATION_ENTITY = frozenset({"ae_title", "calling_ae_title"})
_SOCKET = frozenset({"host", "port"})
_DICOM_DOCUMENTS = frozenset(
    {
        "findings_sop_class",
        "rejection_notes",
        "commitment",
        "commitment_wait_s",
        "commitment_timeout_s",
        "commitment_attempts",
        "commitment_resends",
    }
)
_COMMON = frozenset({"name", "kind", "documents", "timeout_s"})
# The settings that each kind reads. A DICOMweb server may have an AE title too, from which others retrieve.
FIELDS: Mapping[str, frozenset[str]] = {
    "dicom": _COMMON | _SOCKET | _APPLICATION_ENTITY | _DICOM_DOCUMENTS | {"tls"},
    "stow": _COMMON | _SOCKET | _APPLICATION_ENTITY | _DICOM_DOCUMENTS | {"stow_url", "tls", "credentials"},
    "hl7": _COMMON | _SOCKET | {"tls", "hl7"},
    "fhir": _COMMON | {"fhir"},
}


def kind_of(values: Mapping[str, Any]) -> Any:
    """Return the kind that a destination's settings state, or that follows from them."""
    return values.get("kind") or ("stow" if values.get("stow_url") else "dicom")

"""From a DiagnosticReport to a signed report. Pure.

Source: FHIR R4 diagnosticreport; table 0203 (ACSN); RFC 3986 (urn:oid of DICOM UIDs).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from agent.database.signed_text import CORRECTED, FINAL, WITHDRAWN, SignedText
from agent.foundation.clock import storable_time
from agent.foundation.fhir_systems import DICOM_UID, RESULT_SYSTEM
from agent.foundation.settings.signed import FhirReportsSettings
from agent.ris.signed.markup import text_of, words_of

Resource = Mapping[str, Any]
# Returns the resource that a reference such as `Patient/1` names; empty if it is not available.
Resolve = Callable[[str], Resource]
STATUSES = {
    "final": FINAL,
    "amended": CORRECTED,
    "corrected": CORRECTED,
    "appended": CORRECTED,
    "cancelled": WITHDRAWN,
    "entered-in-error": WITHDRAWN,
}
LONGEST_TEXT = 200_000


def signed_of(report: Resource, settings: FhirReportsSettings, resolve: Resolve) -> SignedText | None:
    """Return the signed report in a DiagnosticReport; None if it is not signed, is ours, or names no study.

    A draft of ours on the same server is never taken for a radiologist's report, not even a verified one: it
    would be compared with itself.
    """
    status = STATUSES.get(str(report.get("status")))
    if status is None or any(one.get("system") == RESULT_SYSTEM for one in _identifiers(report)):
        return None
    meta = report.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    version = str(meta.get("versionId") or meta.get("lastUpdated") or report.get("issued") or "")
    text = _text(report)
    patient, issuer = _patient(report, settings, resolve)
    study, accession = _study(report, resolve), _accession(report, settings, resolve)
    signed_at = moment(report.get("issued")) or moment(meta.get("lastUpdated"))
    if not (study or accession) or not report.get("id") or signed_at is None:
        return None
    if not text and status is not WITHDRAWN:
        return None
    return SignedText(
        source="fhir",
        key=f"{report['id']}/{version}"[:200],
        text=text[:LONGEST_TEXT],
        signed_at=signed_at,
        study_instance_uid=study[:64],
        accession_number=accession,
        patient_id=patient,
        issuer_of_patient_id=issuer,
        status=status,
        signed_by=_signer(report),
    )


def moment(value: object) -> datetime | None:
    """Parse a FHIR instant; None if it is not one. Without a time zone it is UTC."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return storable_time(found if found.tzinfo is not None else found.replace(tzinfo=UTC))


def _text(report: Resource) -> str:
    """Return the text: an attachment in words, else narrative and conclusion.

    A narrative may be generated from other elements and leave the conclusion out, or repeat it.
    """
    forms = _list(report, "presentedForm")
    for kind in ("text/plain", "text/html", "application/xhtml+xml"):
        for form in forms:
            stated = str(form.get("contentType", ""))
            if stated.partition(";")[0].strip().lower() == kind:
                content = _decoded(form.get("data"), stated)
                words = content if kind == "text/plain" else words_of(content)
                if words.strip():
                    return words.strip()
    narrative = report.get("text")
    told = isinstance(narrative, Mapping) and narrative.get("status") != "empty"
    words = words_of(str(narrative.get("div") or "")) if told and isinstance(narrative, Mapping) else ""
    conclusion = str(report.get("conclusion") or "").strip()
    if " ".join(conclusion.split()) in " ".join(words.split()):
        return words
    return f"{words}\n{conclusion}".strip()


def _decoded(data: object, content_type: str) -> str:
    try:
        return text_of(base64.b64decode(str(data or ""), validate=False), content_type)
    except (binascii.Error, ValueError):
        return ""


def _study(report: Resource, resolve: Resolve) -> str:
    """Return the Study Instance UID that an ImagingStudy or an identifier of the report itself states."""
    for one in (*_referenced(report, "imagingStudy", resolve), *_identifiers(report)):
        value = str(one.get("value") or "")
        if one.get("system") == DICOM_UID or value.startswith("urn:oid:"):
            uid = value.removeprefix("urn:oid:")
            if re.fullmatch(r"[0-9.]{3,64}", uid):
                return uid
    return ""


def _accession(report: Resource, settings: FhirReportsSettings, resolve: Resolve) -> str:
    found = (*_referenced(report, "basedOn", resolve), *_identifiers(report))
    studies = tuple(_referenced(report, "imagingStudy", resolve))
    for one in (*found, *studies):
        typed = any(code.get("code") == "ACSN" for code in _list(one.get("type"), "coding"))
        if typed or (settings.accession_system and one.get("system") == settings.accession_system):
            return str(one.get("value") or "").strip()
    return ""


def _patient(report: Resource, settings: FhirReportsSettings, resolve: Resolve) -> tuple[str, str]:
    """Return identifier and issuer: the one of the configured system, else the first; an OID is the
    issuer.
    """
    named = list(_named(report.get("subject"), resolve))
    wanted = [one for one in named if one.get("system") == settings.patient_system]
    chosen = (wanted if settings.patient_system else named)[:1]
    return (str(chosen[0].get("value") or "").strip(), "") if chosen else ("", "")


def _signer(report: Resource) -> str:
    for name in ("resultsInterpreter", "performer"):
        for one in _list(report, name):
            if one.get("display"):
                return str(one["display"])
    return ""


def _referenced(report: Resource, name: str, resolve: Resolve) -> Iterator[Resource]:
    for one in _list(report, name):
        yield from _named(one, resolve)


def _named(reference: object, resolve: Resolve) -> Iterator[Resource]:
    """Yield the identifiers of what a reference names, whether it is logical or literal."""
    if not isinstance(reference, Mapping):
        return
    own = reference.get("identifier")
    if isinstance(own, Mapping):
        yield own
    target = reference.get("reference")
    if isinstance(target, str) and target:
        yield from _identifiers(resolve(target))


def _identifiers(resource: Resource) -> list[Resource]:
    found = _list(resource, "identifier")
    single = ("accessionIdentifier",)
    return [*found, *(resource[one] for one in single if isinstance(resource.get(one), Mapping))]


def _list(resource: object, name: str) -> list[Resource]:
    """Return the objects of a list element; nothing if it has another form."""
    stated = resource.get(name) if isinstance(resource, Mapping) else None
    return [one for one in stated if isinstance(one, Mapping)] if isinstance(stated, list) else []

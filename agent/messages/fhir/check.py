"""Checks a transaction bundle before it is sent: structure, references and statuses.

It finds errors that a site's mapping or an unusual study could cause. It is not a FHIR validator: the tests
validate bundles against the R4 definitions of another implementation.

Source: FHIR R4 bundle (bdl-*), datatypes (id, date, instant), narrative (txt-1), http.html#transaction.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from agent.messages.fhir.terms import REPORT_STATUS
from agent.messages.result_status import ResultStatus

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?")
_URI = re.compile(r"(urn:[a-z0-9][a-z0-9-]*:\S+|https?://\S+)")
_NEEDED = {
    "DiagnosticReport": ("status", "code", "subject", "identifier"),
    "Observation": ("status", "code", "subject", "identifier"),
    "ImagingStudy": ("status", "subject", "identifier"),
    "Device": ("identifier",),
    "Provenance": ("target", "recorded", "agent", "id"),
}
_TIMES = ("effectiveDateTime", "issued", "recorded", "started", "timestamp")
_VERIFIED = {REPORT_STATUS[ResultStatus.FINAL], REPORT_STATUS[ResultStatus.CORRECTED]}
Resource = Mapping[str, Any]


def problems_of(bundle: Resource) -> list[str]:
    """Return what is wrong, naming the resource and the element but never a value."""
    found = [] if bundle.get("type") == "transaction" else ["Bundle.type: is not `transaction`"]
    entries = [one for one in bundle.get("entry") or () if isinstance(one, Mapping)]
    urls = [one.get("fullUrl") for one in entries]
    if len(set(urls)) < len(urls):
        found.append("Bundle.entry.fullUrl: one occurs twice")
    targets = [(one.get("request") or {}).get("url") for one in entries if _method(one) == "PUT"]
    if len(set(targets)) < len(targets):
        found.append("Bundle.entry.request.url: two entries replace the same resource")
    for entry in entries:
        resource = entry.get("resource") or {}
        kind = str(resource.get("resourceType"))
        found.extend(f"{kind}.{words}" for words in _problems(kind, resource))
        found.extend(f"{kind}: {words}" for words in _request_problems(kind, entry))
        found.extend(
            f"{kind}: a reference names no entry of the bundle"
            for one in _references(resource)
            if one.startswith("urn:uuid:") and one not in urls
        )
    return [*found, *_claims(entries)]


def _method(entry: Resource) -> str:
    return str((entry.get("request") or {}).get("method"))


def _problems(kind: str, resource: Resource) -> Iterator[str]:
    if kind not in _NEEDED:
        yield "resourceType: is not one that a result contains"
    for name in _NEEDED.get(kind, ()):
        if not resource.get(name):
            yield f"{name}: is missing"
    if "id" in resource and not _ID.fullmatch(str(resource["id"])):
        yield "id: has invalid characters, or more than 64"
    for name in _TIMES:
        if name in resource and not _DATE.fullmatch(str(resource[name])):
            yield f"{name}: is not a date or instant"
    for name, value in _values(resource):
        if name == "system" and not _URI.fullmatch(str(value)):
            yield "system: is not a URI"
        if value in ("", [], {}, None):
            yield f"{name}: is empty"
    narrative = (resource.get("text") or {}).get("div")
    if narrative is not None and not _is_xhtml(str(narrative)):
        yield "text.div: is not XHTML"
    for form in resource.get("presentedForm") or ():
        try:
            base64.b64decode(str(form.get("data")), validate=True)
        except (binascii.Error, ValueError):
            yield "presentedForm.data: is not base64"


def _request_problems(kind: str, entry: Resource) -> Iterator[str]:
    """A request must not create duplicates: it is conditional on an identifier, or has its own id."""
    request = entry.get("request") or {}
    url, resource = str(request.get("url")), entry.get("resource") or {}
    if _method(entry) == "PUT":
        if not url.startswith((f"{kind}?identifier=", f"{kind}/{resource.get('id')}")):
            yield "the request names neither identifier nor id"
    elif not (_method(entry) == "POST" and url == kind and request.get("ifNoneExist")):
        yield "the request could create a duplicate"


def _claims(entries: list[Resource]) -> Iterator[str]:
    """No unverified result may look verified."""
    resources = [entry.get("resource") or {} for entry in entries]
    reports = [one for one in resources if one.get("resourceType") == "DiagnosticReport"]
    if len(reports) != 1:
        yield "Bundle: does not contain exactly one DiagnosticReport"
        return
    status = reports[0].get("status")
    for one in resources:
        stated = one.get("status")
        if one.get("resourceType") == "Observation" and stated not in (status, "cancelled"):
            yield "Observation.status: is not that of the report"
    if status not in _VERIFIED and reports[0].get("resultsInterpreter"):
        yield "DiagnosticReport.resultsInterpreter: is set in an unverified report"


def _is_xhtml(div: str) -> bool:
    try:
        return ElementTree.fromstring(div).tag == "{http://www.w3.org/1999/xhtml}div"
    except ElementTree.ParseError:
        return False


def _values(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield str(name), value
            yield from _values(value)
    elif isinstance(node, list):
        for one in node:
            yield from _values(one)


def _references(resource: Resource) -> Iterator[str]:
    return (str(value) for name, value in _values(resource) if name == "reference")

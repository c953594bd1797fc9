"""A result as ORU^R01^ORU_R01 (HL7 v2.5.1): the text, a coded observation for each finding, a PDF. Pure.

Status (tables 0123 and 0085): `R` for a result that nobody has verified. `P` is a *verified* early result and
`F` a final one; neither is ever written for a draft. `F` comes with the radiologist's verdict, `C` with a
later one, `X` when the result is withdrawn.
Source: HL7 v2.5.1 chapter 7.3 and 7.4; IHE RAD TF-2 4.28 (the observation that names the study).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from pydicom.sr.coding import Code

from agent.foundation.document_roles import DocumentRole
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.messages.hl7.escalation import escalation
from agent.messages.hl7.patient_order import order, patient, request_fields
from agent.messages.hl7.write import SOFTWARE, Value, encoded, header, moment, person_value, segment
from agent.messages.result import Result
from agent.messages.result_status import ResultStatus
from dicom_sr import codes, labels
from dicom_sr.terminology import Term, terminology_of
from dicom_sr.values import BANNER
from model.findings.types import Finding
from model.findings.vocabulary import load_vocabulary

_STATUS = {
    ResultStatus.UNVERIFIED: "R",
    ResultStatus.FINAL: "F",
    ResultStatus.CORRECTED: "C",
    ResultStatus.WITHDRAWN: "X",
}
_STUDY: Value = ("113014", "DICOM Study", "DCM")


def write_result(destination: DestinationSettings, result: Result) -> Sequence[tuple[DocumentRole, bytes]]:
    """Return the messages of a result: the ORU, and the escalation if a rule makes the draft urgent."""
    settings = destination.hl7 or Hl7DestinationSettings()
    written = [(DocumentRole.MESSAGE, result_message(settings, result))]
    urgent = result.priority <= settings.escalation_priority and result.status is ResultStatus.UNVERIFIED
    if settings.escalation != "none" and urgent:
        written.append((DocumentRole.ESCALATION, escalation(settings, result)))
    return written


def result_message(settings: Hl7DestinationSettings, result: Result) -> bytes:
    """Return one ORU^R01 in the character set of the settings."""
    head = header(
        settings, ("ORU", "R01", "ORU_R01"), uid=result.uid, at=result.created, test=result.demonstration
    )
    status = _STATUS[result.status]
    report: dict[int, Value] = request_fields(result, settings) | {22: moment(result.created), 25: status}
    if result.verifier:
        report[32] = (_signer(result),)
    lines = [
        _software(result),
        patient(result, settings),
        order(result, settings, "RE"),
        segment("OBR", report),
        *_observations(settings, result, status),
    ]
    return encoded(head, lines, settings.character_set)


def _software(result: Result) -> str:
    version = result.software_version or "unknown"
    return segment("SFT", {1: (SOFTWARE,), 2: version, 3: result.software, 4: version})


def _signer(result: Result) -> Value:
    """Return NDL.1 for the radiologist who verified: a CNN whose parts are subcomponents."""
    family, given = [*result.verifier.split("=")[0].split("^"), "", ""][:2]
    return ("", family, given)


def _observations(settings: Hl7DestinationSettings, result: Result, status: str) -> Iterator[str]:
    """Yield OBX: the study, what the reader must know, the text, the findings."""
    one = settings.withdraw_with if result.status is ResultStatus.WITHDRAWN else status
    rows: list[tuple[str, Value, str, Value]] = [
        # A UID is longer than a namespace ID may be; IHE's transaction puts it in the first component.
        ("HD", _STUDY, "", result.study_instance_uid)
    ]
    sections: list[tuple[Code, Sequence[str]]] = [(codes.SUMMARY_SECTION, _summary(result))]
    if result.status is not ResultStatus.WITHDRAWN:
        sections.append((codes.FINDINGS_SECTION, result.findings_sentences))
        sections.append((codes.IMPRESSIONS_SECTION, result.impression_sentences))
    for section, sentences in sections:
        rows.extend(("TX", _coded(section), str(n), text) for n, text in enumerate(sentences, 1))
    if result.status is not ResultStatus.WITHDRAWN:
        for n, finding in enumerate(result.findings, 1):
            rows.extend(_finding(finding, str(n)))
        if result.pdf:
            title = _coded(codes.DIAGNOSTIC_IMAGING_REPORT)
            rows.append(("ED", title, "", _encapsulated(settings, result.pdf)))
    signed = person_value(result.verifier) if result.verifier else ""
    device: Value = "" if result.verifier else (f"{result.software} {result.software_version}"[:199],)
    for n, (kind, name, group, value) in enumerate(rows, 1):
        fields: dict[int, Value] = {1: str(n), 2: kind, 3: name, 4: group, 5: value, 11: one}
        if kind != "HD":
            fields |= {14: moment(result.created), 16: signed, 18: device}
        yield segment("OBX", fields)


def _encapsulated(settings: Hl7DestinationSettings, pdf: bytes) -> Value:
    """Return an ED: source, type and subtype of the data, encoding, data."""
    data = base64.b64encode(pdf).decode("ascii")
    return (settings.sending_application, "application", "pdf", "Base64", data)


def _summary(result: Result) -> list[str]:
    """Return the lines above everything else; a draft always has the first one."""
    if result.status is ResultStatus.WITHDRAWN:
        return [labels.WITHDRAWN, *([f"Reason: {result.reason}"] if result.reason else ())]
    demonstration = [BANNER] if result.demonstration else []
    if result.status is ResultStatus.UNVERIFIED:
        urgent = [f"Urgency: {result.urgency}"] if result.urgency else []
        return [labels.UNVERIFIED, *demonstration, *urgent, *result.notices]
    return [labels.VERIFIED_COMPLETION, *demonstration]


def _finding(finding: Finding, group: str) -> Iterator[tuple[str, Value, str, Value]]:
    """Yield one observation of presence, and its modifiers under the same sub-ID: 3, 3.1, 3.2."""
    terminology = terminology_of(load_vocabulary())
    term: Term = terminology.term(finding)
    yield "CWE", _coded(term.code), group, _coded(codes.PRESENCE[finding.presence])
    modifiers: list[tuple[Value, Value]] = []
    if finding.laterality is not None:
        modifiers.append((_coded(codes.LATERALITY), _coded(codes.SIDE[finding.laterality])))
    if finding.severity is not None:
        modifiers.append((_coded(codes.SEVERITY), _coded(codes.GRADE[finding.severity])))
    if finding.location is not None:
        modifiers.append(
            (_coded(codes.TOPOGRAPHICAL_MODIFIER), _coded(terminology.location(finding.location)))
        )
    if finding.change is not None:
        modifiers.append((_coded(codes.DESCRIPTION_OF_CHANGE), _coded(codes.CHANGE[finding.change])))
    for n, (name, value) in enumerate(modifiers, 1):
        yield "CWE", name, f"{group}.{n}", value


def _coded(code: Code) -> Value:
    return (code.value, code.meaning, code.scheme_designator)

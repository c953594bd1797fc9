"""Reads the orders, patients and signed reports in a message, by the site's mapping. Pure.

Orders: ORM^O01, OMG^O19, OMI^O23. Patients: ADT^A08, A31 (changes), A18, A34, A36, A40, A47 (merges and
changed identifiers). Signed reports: ORU^R01 with a result status F, C or X.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.database.identity.patient import Patient
from agent.foundation.errors import MessageRefused
from agent.foundation.settings.hl7 import Hl7OrderSettings, Hl7Settings
from agent.messages.hl7.message import Message, Segment, place_of, value_in
from agent.objects.header import ROUTINE_PRIORITY, STAT_PRIORITY
from agent.ris.order_groups import order_groups
from agent.ris.updates import OrderUpdate, PatientUpdate, ReportUpdate, Update
from agent.ris.values import date_of, person_name, time_of

ORDERS = ("ORM^O01", "OMG^O19", "OMI^O23")
CHANGES = ("ADT^A08", "ADT^A31")
MERGES = ("ADT^A18", "ADT^A34", "ADT^A36", "ADT^A40", "ADT^A47")
REPORTS = ("ORU^R01",)
_CANCEL = ("CA", "OC", "DC", "OD", "CR", "DR", "UA")
_PREVIOUS_RESULT = "PR"
_SIGNED = {"F": "F", "C": "C", "X": "X"}
_TEXTS = ("TX", "FT", "ST")


def read(message: Message, settings: Hl7Settings) -> tuple[Update, ...]:
    """Return a message's orders, patients or reports; nothing for another kind of message.

    Raises:
        MessageRefused: it is of one of these kinds, but names no patient or no order.
    """
    kind = message.type
    if kind in ORDERS:
        return tuple(_orders(message, settings))
    if kind in CHANGES:
        return (PatientUpdate(patient=_patient(message, settings)),)
    if kind in MERGES:
        return tuple(_merges(message, settings))
    if kind in REPORTS:
        return tuple(_reports(message, settings))
    return ()


def _patient(message: Message, settings: Hl7Settings, segment: Segment | None = None) -> Patient:
    pid = segment or next(message.all("PID"), None)
    if pid is None:
        raise MessageRefused("it has no PID segment")
    identifier, issuer = identifier_in(pid, 3, settings)
    if not identifier:
        identifier, issuer = identifier_in(pid, 2, settings)
    if not identifier:
        raise MessageRefused("PID-3 names no patient")
    return Patient(
        patient_id=identifier,
        issuer_of_patient_id=issuer,
        patient_birth_date=date_of(pid.text(7)),
        patient_sex=pid.text(8).upper()[:1],
        patient_name=person_name(pid),
    )


def identifier_in(segment: Segment, field: int, settings: Hl7Settings) -> tuple[str, str]:
    """Return identifier and issuer of the repetition that the images use.

    That is one of `patient_authority`, else of the type PI or MR, else the first.
    """
    return next(iter(_identifiers(segment, field, settings)), ("", ""))


def _identifiers(segment: Segment, field: int, settings: Hl7Settings) -> list[tuple[str, str]]:
    """Return the identifier that the images use, and further ones of its issuer and type."""
    found = []
    for one in segment.repetitions(field):
        number = segment.part(one, 1)
        issuer = "&".join(segment.part(one, 4, n) for n in (1, 2, 3)).rstrip("&")
        if number:
            found.append((number, issuer or settings.patient_authority, segment.part(one, 5)))
    if not found:
        return []
    wanted = settings.patient_authority.split("&")[0]
    chosen = next((one for one in found if wanted and one[1].split("&")[0] == wanted), None)
    chosen = chosen or next((one for one in found if one[2] in ("PI", "MR", "PT")), found[0])
    alike = [one for one in found if one[1:] == chosen[1:]]
    return [chosen[:2], *(one[:2] for one in alike if one != chosen)]


def _orders(message: Message, settings: Hl7Settings) -> Iterator[OrderUpdate]:
    groups = list(order_groups(message))
    if not groups:
        _patient(message, settings)
        raise MessageRefused("it has neither ORC nor OBR")
    for pid, group in groups:
        if not any(one.name == "ORC" and one.text(1).upper() == _PREVIOUS_RESULT for one in group):
            yield _order(_patient(message, settings, pid), group, settings.orders)


def _order(patient: Patient, segments: Sequence[Segment], mapping: Hl7OrderSettings) -> OrderUpdate:
    control = next((one.text(1).upper() for one in segments if one.name == "ORC"), "NW")
    order = OrderUpdate(
        patient=patient,
        placer_number=_first_of(segments, mapping.placer_number),
        filler_number=_first_of(segments, mapping.filler_number),
        accession_number=_first_of(segments, mapping.accession_number),
        study_instance_uid=_first_of(segments, mapping.study_instance_uid)[:64],
        procedure_id=_first_of(segments, mapping.procedure_id),
        procedure=_first_of(segments, mapping.procedure),
        clinical_question=_first_of(segments, mapping.clinical_question),
        priority=STAT_PRIORITY
        if _first_of(segments, mapping.priority).upper() in {one.upper() for one in mapping.stat_values}
        else ROUTINE_PRIORITY,
        canceled=control in _CANCEL,
    )
    if not any((order.placer_number, order.filler_number, order.accession_number)):
        raise MessageRefused("the order has no number by `hl7.orders`")
    return order


def _merges(message: Message, settings: Hl7Settings) -> Iterator[PatientUpdate]:
    """Yield each surviving patient with the identifiers that MRG merges into it."""
    surviving: Segment | None = None
    found = False
    for one in message.segments:
        if one.name == "PID":
            surviving = one
        if one.name != "MRG" or surviving is None:
            continue
        patient = _patient(message, settings, surviving)
        # Versions before 2.3 have an external identifier in MRG-4, as in PID-2.
        earlier = _identifiers(one, 1, settings) or _identifiers(one, 4, settings)
        if not earlier:
            raise MessageRefused("MRG-1 names no patient")
        found = True
        present = (patient.patient_id, patient.issuer_of_patient_id)
        merged = tuple(
            Patient(patient_id=number, issuer_of_patient_id=issuer)
            for number, issuer in earlier
            if (number, issuer) != present
        )
        yield PatientUpdate(patient=patient, merged=merged)
    if not found:
        raise MessageRefused("a merge needs PID and MRG")


def _reports(message: Message, settings: Hl7Settings) -> Iterator[ReportUpdate]:
    """Yield the signed report of each order; preliminary ones are left out."""
    waiting: ReportUpdate | None = None
    for pid, group in order_groups(message):
        request = next((one for one in group if one.name == "OBR"), None)
        status = "" if request is None else _SIGNED.get(request.text(25).upper(), "")
        if request is None or not status:
            continue
        report = _report(message, settings, pid, request, group, status)
        if waiting is not None and replace(report, text="") == replace(waiting, text=""):
            # Further requests under the same number are sections of one report.
            waiting = replace(waiting, text=f"{waiting.text}\n{report.text}".strip())
            continue
        if waiting is not None:
            yield waiting
        waiting = report
    if waiting is not None:
        yield waiting


def _report(
    message: Message,
    settings: Hl7Settings,
    pid: Segment | None,
    request: Segment,
    group: Sequence[Segment],
    status: str,
) -> ReportUpdate:
    mapping = settings.orders
    return ReportUpdate(
        patient=_patient(message, settings, pid),
        accession_number=_first_of(group, mapping.accession_number),
        study_instance_uid=(_first_of(group, mapping.study_instance_uid) or _study_in(group))[:64],
        status=status,
        signed_by=_signed_by(request),
        signed_at=time_of(request.text(22)) or time_of(message.header.text(7)),
        text=_text_of(group),
    )


def _first_of(segments: Sequence[Segment], places: Sequence[str]) -> str:
    return next((found for one in places if (found := value_in(segments, place_of(one)))), "")


def _signed_by(request: Segment) -> str:
    """Return OBR-32: by the standard the parts of its first component, often the components themselves."""
    name = " ".join(part for n in (3, 2) if (part := request.text(32, 1, n)))
    stated = [request.text(32, n) for n in (3, 2)]
    return name or " ".join(part for part in stated if part and not part[0].isdigit())


def _study_in(group: Sequence[Segment]) -> str:
    """Return the Study Instance UID that an observation names (IHE RAD TF-2 4.28)."""
    for one in group:
        if one.name == "OBX" and one.text(3, 1) == "113014":
            return one.text(5, 1)
    return ""


def _text_of(group: Sequence[Segment]) -> str:
    """Return the text of the observations, a line for each value, under the observations' names."""
    lines: list[str] = []
    heading = ""
    for one in group:
        if one.name != "OBX" or one.text(2).upper() not in _TEXTS:
            continue
        name = one.text(3, 2)
        if name and name != heading and name.casefold() not in ("report", "report text"):
            lines.append(f"{name}:")
        heading = name or heading
        lines.extend(one.part(value) for value in one.repetitions(5))
    return "\n".join(line for line in lines if line).strip()

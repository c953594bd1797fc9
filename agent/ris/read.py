"""Reads the orders, patients and signed reports in a message, using the site's mapping. Pure.

Orders: ORM^O01, OMG^O19, OMI^O23. Patients: the ADT events of `agent.ris.events`. Signed reports: ORU^R01
with a result status F, C or X.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from agent.database.identity.patient import Patient, same_patient
from agent.database.signed_text import WITHDRAWN
from agent.foundation.errors import MessageRefused
from agent.foundation.settings.hl7 import Hl7OrderSettings, Hl7Settings
from agent.messages.hl7.message import Message, Segment, place_of, value_in
from agent.messages.hl7.write import SOFTWARE
from agent.ris.events import CHANGES, MERGES, MOVES, OTHER_IDENTIFIERS, UNCHANGED, UNLINK
from agent.ris.identifiers import earlier_patient, merged_in, patient_in
from agent.ris.order_groups import order_groups
from agent.ris.priority import priority_in
from agent.ris.report_text import report_text, study_in
from agent.ris.updates import NotApplied, OrderUpdate, PatientUpdate, ReportUpdate, Update
from agent.ris.values import time_of

ORDERS = ("ORM^O01", "OMG^O19", "OMI^O23")
REPORTS = ("ORU^R01",)
_CANCEL = ("CA", "OC", "DC", "OD", "CR", "DR", "UA")
# The order control (table 0119) with which ORC-5 counts, and the order statuses (table 0038) that end an
# order.
_CHANGES_STATUS, _CANCELED = ("SC", "SR", "SN", "XO", "XX", "OC", ""), ("CA", "DC")
_PREVIOUS_RESULT = "PR"


def read(message: Message, settings: Hl7Settings) -> tuple[Update, ...]:
    """Return a message's orders, patients or reports, or why it changes nothing.

    Raises:
        MessageRefused: it is of one of these kinds, but names no patient or no order.
    """
    kind = message.type
    if kind in ORDERS:
        return tuple(_orders(message, settings)) or (NotApplied(reason="it has earlier results only"),)
    if kind in REPORTS:
        return _reports(message, settings)
    if kind in CHANGES:
        pid = next(message.all("PID"), None)
        return (PatientUpdate(patient=patient_in(pid, settings)),)
    if kind in (*MERGES, *OTHER_IDENTIFIERS):
        return _merges(message, settings, required=kind in MERGES)
    if kind in MOVES:
        return _moves(message, settings)
    if kind == UNLINK:
        patients = tuple(patient_in(one, settings) for one in message.all("PID"))
        return (NotApplied(reason=UNCHANGED[kind], identity=True, split=patients),)
    if kind in UNCHANGED:
        return (NotApplied(reason=UNCHANGED[kind], identity=True),)
    return (NotApplied(reason="messages of this type are not used"),)


def _orders(message: Message, settings: Hl7Settings) -> Iterator[OrderUpdate]:
    """Yield each order; further requests under the same numbers, such as protocol codes, are part of it."""
    groups = list(order_groups(message))
    if not groups:
        patient_in(next(message.all("PID"), None), settings)
        raise MessageRefused("it has neither ORC nor OBR")
    waiting: OrderUpdate | None = None
    for pid, group in groups:
        if any(one.name == "ORC" and one.text(1).upper() == _PREVIOUS_RESULT for one in group):
            continue
        order = _order(patient_in(pid, settings), group, settings.orders)
        if waiting is not None and _is_part(order, waiting):
            waiting = _completed(waiting, order)
            continue
        if waiting is not None:
            yield waiting
        waiting = order
    if waiting is not None:
        yield waiting


def _is_part(order: OrderUpdate, earlier: OrderUpdate) -> bool:
    numbers = ("placer_number", "filler_number", "accession_number", "study_instance_uid")
    same = order.patient == earlier.patient and order.canceled == earlier.canceled
    return same and all(getattr(order, name) in ("", getattr(earlier, name)) for name in numbers)


def _completed(order: OrderUpdate, part: OrderUpdate) -> OrderUpdate:
    """Return an order completed by a further request under its numbers, with the more urgent priority."""
    names = [one.name for one in fields(order) if getattr(order, one.name) == ""]
    stated = [one.priority for one in (order, part) if one.priority is not None]
    missing = {name: getattr(part, name) for name in names}
    return replace(order, **missing, priority=min(stated, default=None))


def _order(patient: Patient, segments: Sequence[Segment], mapping: Hl7OrderSettings) -> OrderUpdate:
    control = next((one.text(1).upper() for one in segments if one.name == "ORC"), "NW")
    status = next((one.text(5).upper() for one in segments if one.name == "ORC"), "")
    order = OrderUpdate(
        patient=patient,
        placer_number=_first_of(segments, mapping.placer_number),
        filler_number=_first_of(segments, mapping.filler_number),
        accession_number=_first_of(segments, mapping.accession_number),
        study_instance_uid=_first_of(segments, mapping.study_instance_uid)[:64],
        procedure_id=_first_of(segments, mapping.procedure_id),
        procedure=_first_of(segments, mapping.procedure),
        clinical_question=_first_of(segments, mapping.clinical_question),
        priority=priority_in(segments, mapping),
        canceled=control in _CANCEL or (control in _CHANGES_STATUS and status in _CANCELED),
    )
    if not any((order.placer_number, order.filler_number, order.accession_number)):
        raise MessageRefused("the order has no number by `hl7.orders`")
    return order


def _pairs(message: Message) -> list[tuple[Segment, Segment]]:
    """Return each MRG with the PID before it."""
    pairs = []
    surviving: Segment | None = None
    for one in message.segments:
        if one.name == "PID":
            surviving = one
        elif one.name == "MRG" and surviving is not None:
            pairs.append((surviving, one))
    if not pairs:
        raise MessageRefused("it needs PID and MRG")
    return pairs


def _merges(message: Message, settings: Hl7Settings, *, required: bool) -> tuple[Update, ...]:
    """Return each surviving patient with the identifiers that MRG merges into it.

    required: every MRG must name one, which may be of an authority that the images do not use.
    """
    found: list[Update] = []
    for pid, mrg in _pairs(message):
        pairs = list(merged_in(pid, mrg, settings))
        if required and not pairs and earlier_patient(pid, mrg, settings) is None:
            raise MessageRefused("MRG names no patient by an identifier of the kind that PID has")
        found.extend(PatientUpdate(patient=patient, merged=merged) for patient, merged in pairs)
    reason = "identifiers change that the images do not use (see `hl7.patient_authority`)"
    return tuple(found) or (NotApplied(reason=reason, identity=True),)


def _moves(message: Message, settings: Hl7Settings) -> tuple[Update, ...]:
    """Return the patients from whom something was moved to another one."""
    doubtful = []
    for pid, mrg in _pairs(message):
        earlier = earlier_patient(pid, mrg, settings)
        if earlier is None:
            raise MessageRefused("MRG names no patient by an identifier of the kind that PID has")
        if not same_patient(earlier, patient_in(pid, settings)):
            doubtful.append(earlier)
    reason = "no study is here of the patient from whom something was moved"
    if message.type == "ADT^A43" and not doubtful:
        # The identifier is unchanged but now belongs to another person, whose attributes PID states.
        return tuple(PatientUpdate(patient=patient_in(pid, settings)) for pid, _ in _pairs(message))
    return (NotApplied(reason=reason, identity=True, doubtful=tuple(doubtful)),)


def _reports(message: Message, settings: Hl7Settings) -> tuple[Update, ...]:
    """Return the signed report of each order, or why there is none; preliminary ones are left out."""
    if any(one.text(1) == SOFTWARE for one in message.all("SFT")):
        # The comparison would be with itself.
        return (NotApplied(reason="it is a result of this software, which the receiver has passed on"),)
    found = list(_signed(message, settings))
    texts = {(one.patient, one.text, one.addendum) for one in found if one.text and one.status != WITHDRAWN}
    if len(texts) == 1:
        # Examinations that were reported together: the text stands under one of their orders.
        ((patient, text, addendum),) = texts
        found = [
            replace(one, text=text, addendum=addendum)
            if one.patient == patient and not one.text and one.status != WITHDRAWN
            else one
            for one in found
        ]
    signed = [one for one in found if one.text or one.status == WITHDRAWN]
    if found and not signed:
        reason = "its signed report has no text (OBX of the type TX, FT or ST)"
    else:
        reason = "no report in it is signed (OBR-25 or OBX-11 is not F or C)"
    return tuple(_in_sections(signed)) or (NotApplied(reason=reason),)


def _in_sections(reports: Sequence[ReportUpdate]) -> Iterator[ReportUpdate]:
    """Yield the reports; further requests under the same number are sections of one."""
    waiting: ReportUpdate | None = None
    for report in reports:
        if waiting is not None and _bare(report) == _bare(waiting):
            whole = report.text if report.text == waiting.text else f"{waiting.text}\n{report.text}"
            both = waiting.addendum and report.addendum
            waiting = replace(waiting, text=whole.strip(), addendum=both)
            continue
        if waiting is not None:
            yield waiting
        waiting = report
    if waiting is not None:
        yield waiting


def _bare(report: ReportUpdate) -> ReportUpdate:
    return replace(report, text="", addendum=False)


def _signed(message: Message, settings: Hl7Settings) -> Iterator[ReportUpdate]:
    """Yield what each request states that is signed or withdrawn, with or without a text."""
    mapping = settings.orders
    for pid, group in order_groups(message):
        request = next((one for one in group if one.name == "OBR"), None)
        read = None if request is None else report_text(request, group)
        if request is None or read is None or not read.status:
            continue
        yield ReportUpdate(
            patient=patient_in(pid, settings),
            accession_number=_first_of(group, mapping.accession_number),
            study_instance_uid=(_first_of(group, mapping.study_instance_uid) or study_in(group))[:64],
            status=read.status,
            signed_by=_signed_by(request),
            signed_at=time_of(request.text(22)) or time_of(message.header.text(7)),
            text=read.text,
            addendum=read.addendum,
        )


def _first_of(segments: Sequence[Segment], places: Sequence[str]) -> str:
    return next((found for one in places if (found := value_in(segments, place_of(one)))), "")


def _signed_by(request: Segment) -> str:
    """Return OBR-32: in the standard the name is in parts of its first component, often in the components."""
    name = " ".join(part for n in (3, 2) if (part := request.text(32, 1, n)))
    stated = [request.text(32, n) for n in (3, 2)]
    return name or " ".join(part for part in stated if part and not part[0].isdigit())

"""From the entries of a modality worklist to the order of a study. Pure.

Source: PS3.4 table K.6-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from agent.database.identity.patient import Patient, contradicts
from agent.objects.header import HIGH_PRIORITY, ROUTINE_PRIORITY, STAT_PRIORITY
from agent.ris.updates import OrderUpdate
from dicom_sr.orders import Order, orders_of
from dicom_sr.source import text

FOUND, NONE_FOUND, MISMATCH = "order-found", "order-none", "order-mismatch"
_PRIORITIES = {"STAT": STAT_PRIORITY, "HIGH": HIGH_PRIORITY}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChoice:
    """The order that the entries give for a study, or why there is none."""

    code: str
    order: OrderUpdate | None = None


def choose_entry(
    entries: Sequence[Dataset], *, accession_number: str, study_instance_uid: str, patient: Patient
) -> EntryChoice:
    """Choose the order from a worklist's answers.

    An entry counts if it has the accession number (some worklists ignore the query key) and names no other
    patient; images that name no patient get no order. Several procedure steps of one order count as one, as
    urgent as the most urgent of them. Of several orders the one with the study's UID counts; if none has it,
    none counts, because nothing shows which of them the images belong to.
    """
    own = [one for one in entries if text(one, "AccessionNumber") == accession_number]
    named = bool(patient.patient_id.strip() or patient.patient_name.strip())
    fitting = [
        one for one in own if named and text(one, "PatientID") and not contradicts(_patient(one), patient)
    ]
    told = [_order(one, accession_number) for one in fitting]
    exact = [one for one in told if one.study_instance_uid == study_instance_uid]
    chosen = exact or told
    if len({_what_it_orders(one) for one in chosen}) == 1:
        priority = min((one.priority for one in chosen if one.priority is not None), default=None)
        # A modality may make its own UID instead of using the worklist's; then the accession number decides.
        return EntryChoice(code=FOUND, order=replace(chosen[0], study_instance_uid="", priority=priority))
    return EntryChoice(code=MISMATCH if own else NONE_FOUND)


def _order(entry: Dataset, accession_number: str) -> OrderUpdate:
    # An entry may have no other number than an accession number that is too long for its attribute.
    leading = next(iter(orders_of([entry]).orders), Order())
    return OrderUpdate(
        patient=_patient(entry),
        placer_number=leading.placer_order_number,
        filler_number=leading.filler_order_number,
        accession_number=accession_number,
        study_instance_uid=leading.study_instance_uid,
        procedure_id=leading.requested_procedure_id,
        procedure=leading.requested_procedure_description
        or ("" if leading.requested_procedure_code is None else leading.requested_procedure_code.meaning),
        clinical_question=leading.clinical_question
        or text(entry, "AdmittingDiagnosesDescription")
        or text(entry, "AdditionalPatientHistory"),
        priority=_PRIORITIES.get(text(entry, "RequestedProcedurePriority").upper(), ROUTINE_PRIORITY),
        canceled=False,
    )


def _what_it_orders(order: OrderUpdate) -> tuple[str, ...]:
    """Return the key that steps of one order share; a worklist may leave the order numbers out."""
    return (
        order.patient.patient_id.strip(),
        order.placer_number,
        order.filler_number,
        order.procedure_id,
        order.procedure,
        order.clinical_question,
    )


def _patient(entry: Dataset) -> Patient:
    return Patient(
        patient_id=text(entry, "PatientID"),
        issuer_of_patient_id=text(entry, "IssuerOfPatientID"),
        patient_birth_date=text(entry, "PatientBirthDate"),
        patient_name=text(entry, "PatientName", is_name=True),
    )

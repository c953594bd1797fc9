"""The contents of a message as values: an order, a change of a patient, a signed report. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.database.identity.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdate:
    """One order of an order message; `canceled` if its order control says so."""

    patient: Patient
    placer_number: str
    filler_number: str
    accession_number: str
    study_instance_uid: str
    procedure_id: str
    procedure: str
    clinical_question: str
    priority: int
    canceled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientUpdate:
    """A patient's present attributes; `merged`: further identifiers of the same patient."""

    patient: Patient
    merged: tuple[Patient, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportUpdate:
    """A report that a person signed; status F final, C corrected, X withdrawn."""

    patient: Patient
    accession_number: str
    study_instance_uid: str
    status: str
    signed_by: str
    signed_at: datetime | None
    text: str


Update = OrderUpdate | PatientUpdate | ReportUpdate

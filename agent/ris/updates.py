"""The contents of a message as values: an order, a change of a patient, a signed report. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.database.identity.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdate:
    """One order in an order message; `canceled` if its order control or status says so.

    priority: as for jobs (0 STAT, 20 high, 50 routine); None if the message states none.
    """

    patient: Patient
    placer_number: str
    filler_number: str
    accession_number: str
    study_instance_uid: str
    procedure_id: str
    procedure: str
    clinical_question: str
    priority: int | None
    canceled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientUpdate:
    """A patient's present attributes; `merged`: further identifiers of the same patient."""

    patient: Patient
    merged: tuple[Patient, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportUpdate:
    """A report that a person signed; status F final, C corrected, X withdrawn.

    addendum: the text adds to the report that was sent before.
    """

    patient: Patient
    accession_number: str
    study_instance_uid: str
    status: str
    signed_by: str
    signed_at: datetime | None
    text: str
    addendum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplied:
    """A message that is accepted but changes nothing, and why.

    identity: the event concerns a patient's identity. doubtful: patients whose stored studies, if any, may
    belong to another patient after this event; the message is then refused. split: two patients that,
    according to the event, are different ones; it is refused if they were merged here.
    """

    reason: str
    identity: bool = False
    doubtful: tuple[Patient, ...] = ()
    split: tuple[Patient, ...] = ()

    @property
    def words(self) -> str:
        """The text of the answer."""
        return f"not applied: {self.reason}"


Update = OrderUpdate | PatientUpdate | ReportUpdate | NotApplied

"""Results for messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agent.foundation.settings.destination import DestinationSettings
from agent.messages.result import Authority, Request, Result, Subject
from agent.messages.result_status import ResultStatus
from model.findings.types import Finding, Laterality, Presence, Severity

STUDY = "1.2.840.113619.2.55.3.604688119.971.1393840000.100"


def result(status: ResultStatus = ResultStatus.UNVERIFIED, **values: Any) -> Result:
    """A result with two findings; keyword arguments change it."""
    known: dict[str, Any] = {
        "uid": "2.25.123",
        "status": status,
        "study_instance_uid": STUDY,
        "revision": 1,
        "subject": subject(),
        "request": request(),
        "findings_sentences": ("There is a small left pneumothorax.", "No pleural effusion."),
        "impression_sentences": ("Left pneumothorax.",),
        "findings": (
            Finding(
                concept="pneumothorax",
                presence=Presence.PRESENT,
                laterality=Laterality.LEFT,
                severity=Severity.MILD,
            ),
            Finding(concept="pleural_effusion", presence=Presence.ABSENT),
            Finding(concept="consolidation", presence=Presence.INDETERMINATE),
        ),
        "notices": ("The lateral view is missing.",),
        "reason": "",
        "verifier": "Reader^Rita" if status in (ResultStatus.FINAL, ResultStatus.CORRECTED) else "",
        "priority": 5,
        "urgency": "critical: pneumothorax",
        "software": "ECHO",
        "software_version": "1",
        "demonstration": False,
        "documents": (),
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return Result(**(known | values))


def subject(**values: Any) -> Subject:
    """A patient."""
    known: dict[str, Any] = {
        "patient_id": "4711",
        "authority": Authority(namespace="HOSP", universal_id="1.2.3", universal_id_type="ISO"),
        "name": "Müller^Jörg^^Dr.",
        "birth_date": "19500102",
        "sex": "M",
    }
    return Subject(**(known | values))


def request(**values: Any) -> Request:
    """An order."""
    known: dict[str, Any] = {
        "accession_number": "A1",
        "accession_authority": Authority(),
        "placer_number": "P1",
        "filler_number": "",
        "procedure_id": "RP1",
        "procedure_code": ("30745-4", "LN", "XR Chest Views"),
        "procedure": "Chest",
        "referring_physician": "Who^Doc",
        "study_date": "20260101",
        "study_time": "101112.5",
    }
    return Request(**(known | values))


def receiver(**values: Any) -> DestinationSettings:
    """A destination that takes HL7; keyword arguments are settings of its section `hl7`."""
    return DestinationSettings(name="ris", kind="hl7", host="127.0.0.1", port=2575, hl7=values)

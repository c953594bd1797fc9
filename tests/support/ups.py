"""The state table of PS3.4 annex CC as data, and workitems to try it on."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from agent.ris.ups.terms import StepState

S = StepState
STATES = (None, S.SCHEDULED, S.IN_PROGRESS, S.COMPLETED, S.CANCELED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One request on a workitem in one state: the status, and the state afterwards."""

    present: StepState | None
    requested: StepState
    transaction: str  # right | wrong | none
    status: int
    after: StepState | None
    cancel_request: bool = False

    def __str__(self) -> str:
        what = "cancel-request" if self.cancel_request else f"{self.requested}-{self.transaction}"
        return f"{self.present or 'none'}-{what}".replace(" ", "_")


def _row(requested: StepState, transaction: str, statuses: tuple[int, ...]) -> list[Cell]:
    cells = []
    for present, status in zip(STATES, statuses, strict=True):
        after = requested if status == 0 else present
        cells.append(
            Cell(present=present, requested=requested, transaction=transaction, status=status, after=after)
        )
    return cells


# Columns: no such workitem, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
CHANGE_TABLE = (
    *_row(S.IN_PROGRESS, "right", (0xC307, 0x0000, 0xC302, 0xC300, 0xC300)),
    *_row(S.IN_PROGRESS, "wrong", (0xC307, 0xC301, 0xC301, 0xC301, 0xC301)),
    *_row(S.SCHEDULED, "right", (0xC307, 0xC303, 0xC303, 0xC303, 0xC303)),
    *_row(S.SCHEDULED, "none", (0xC307, 0xC303, 0xC303, 0xC303, 0xC303)),
    *_row(S.COMPLETED, "right", (0xC307, 0xC310, 0x0000, 0xB306, 0xC300)),
    *_row(S.COMPLETED, "wrong", (0xC307, 0xC301, 0xC301, 0xC301, 0xC301)),
    *_row(S.CANCELED, "right", (0xC307, 0xC310, 0x0000, 0xC300, 0xB304)),
    *_row(S.CANCELED, "wrong", (0xC307, 0xC301, 0xC301, 0xC301, 0xC301)),
)
CANCEL_TABLE = tuple(
    Cell(
        present=present,
        requested=S.CANCELED,
        transaction="none",
        status=status,
        after=S.CANCELED if present is S.SCHEDULED else present,
        cancel_request=True,
    )
    for present, status in zip(STATES, (0xC307, 0x0000, 0x0000, 0xC311, 0xB304), strict=True)
)
CELLS = (*CHANGE_TABLE, *CANCEL_TABLE)


def scheduled(**changes: object) -> Dataset:
    """Return the attributes of a workitem that a RIS creates: all of types 1 and 2; keywords change some."""
    item = Dataset()
    item.TransactionUID = ""
    item.ScheduledProcedureStepPriority = "MEDIUM"
    item.ProcedureStepLabel, item.WorklistLabel = "AI draft", "AI"
    item.ScheduledProcedureStepStartDateTime = "20261128080000"
    item.InputReadinessState, item.ProcedureStepState = "READY", "SCHEDULED"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        "110003",
        "DCM",
        "Computer Aided Diagnosis",
    )
    item.ScheduledWorkitemCodeSequence = [code]
    for keyword in (
        "ScheduledProcessingParametersSequence",
        "ScheduledStationNameCodeSequence",
        "ScheduledStationClassCodeSequence",
        "ScheduledStationGeographicLocationCodeSequence",
        "IssuerOfAdmissionIDSequence",
        "AdmittingDiagnosesCodeSequence",
        "ReferencedRequestSequence",
        "ProcedureStepProgressInformationSequence",
        "UnifiedProcedureStepPerformedProcedureSequence",
    ):
        setattr(item, keyword, [])
    item.CommentsOnTheScheduledProcedureStep = item.AdmissionID = item.AdmittingDiagnosesDescription = ""
    item.PatientName, item.PatientID = "Doe^Jane", "P1"
    item.PatientBirthDate, item.PatientSex = "19700101", "F"
    source = Dataset()
    source.TypeOfInstances, source.StudyInstanceUID = "DICOM", "1.2.3"
    source.SeriesInstanceUID, source.ReferencedSOPSequence = "1.2.3.1", []
    retrieval = Dataset()
    retrieval.RetrieveAETitle = "PACS"
    source.DICOMRetrievalSequence = [retrieval]
    item.InputInformationSequence = [source]
    for keyword, value in changes.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    return item


def outcome(state: StepState) -> Dataset:
    """Return the attributes that a final state demands."""
    changes = Dataset()
    if state is S.COMPLETED:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99T", "x"
        performed = Dataset()
        performed.PerformedStationNameCodeSequence = performed.PerformedWorkitemCodeSequence = [code]
        performed.PerformedProcedureStepStartDateTime = "20261128080000"
        performed.PerformedProcedureStepEndDateTime = "20261128080100"
        performed.OutputInformationSequence = []
        changes.UnifiedProcedureStepPerformedProcedureSequence = [performed]
    else:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "110513", "DCM", "unspecified"
        progress = Dataset()
        progress.ProcedureStepCancellationDateTime = "20261128080000"
        progress.ProcedureStepDiscontinuationReasonCodeSequence = [code]
        changes.ProcedureStepProgressInformationSequence = [progress]
    return changes

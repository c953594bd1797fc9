"""Checks the attributes that a workitem must have when it is created and when it ends, and names what is
missing.

Source: PS3.4 table CC.2.5-3 (N-CREATE, N-SET and final state requirements).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from agent.ris.ups.foreign import misread
from agent.ris.ups.macros import lacking_in_items
from agent.ris.ups.terms import Priority, Readiness, StepState, UpsStatus
from dicom_sr.attributes import items, numbers, text

# Type 1: present with a value.
CREATED_WITH_VALUE = (
    "ScheduledProcedureStepPriority",
    "ProcedureStepLabel",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
    "ProcedureStepState",
)
# Type 2: present, with or without a value.
CREATED_PRESENT = (
    "TransactionUID",
    "ScheduledProcessingParametersSequence",
    "ScheduledStationNameCodeSequence",
    "ScheduledStationClassCodeSequence",
    "ScheduledStationGeographicLocationCodeSequence",
    "ScheduledWorkitemCodeSequence",
    "CommentsOnTheScheduledProcedureStep",
    "InputInformationSequence",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "ReferencedRequestSequence",
    "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
)
# The required attributes of an item without which a workitem cannot be understood.
_INDISPENSABLE = ("TypeOfInstances", "StudyInstanceUID", "CodeMeaning")
_COMPLETED_WITH_VALUE = (
    "PerformedStationNameCodeSequence",
    "PerformedProcedureStepStartDateTime",
    "PerformedWorkitemCodeSequence",
    "PerformedProcedureStepEndDateTime",
)
_CANCELED_WITH_VALUE = (
    "ProcedureStepCancellationDateTime",
    "ProcedureStepDiscontinuationReasonCodeSequence",
)
# An N-SET may not touch what identifies the workitem, its patient and its order.
NOT_SETTABLE = frozenset(
    {
        "SOPClassUID",
        "SOPInstanceUID",
        "ProcedureStepState",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "AdmissionID",
        "ReferencedRequestSequence",
        "ReplacedProcedureStepSequence",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcoming:
    """What is wrong with a set of attributes: the status of the answer, and the keyword of each attribute."""

    status: UpsStatus
    keywords: tuple[str, ...]

    @property
    def comment(self) -> str:
        """The Error Comment (0000,0902): at most 64 characters."""
        words = {
            UpsStatus.MISSING_ATTRIBUTE: "missing: ",
            UpsStatus.MISSING_VALUE: "without a value: ",
            UpsStatus.INVALID_VALUE: "invalid value: ",
            UpsStatus.INVALID_ARGUMENT: "invalid value: ",
            UpsStatus.NOT_SCHEDULED: "must be SCHEDULED: ",
            UpsStatus.ATTRIBUTE_LIST_ERROR: "may not be changed: ",
            UpsStatus.FINAL_REQUIREMENTS: "missing: ",
        }
        return (words.get(self.status, "") + ", ".join(self.keywords))[:64]

    @property
    def tags(self) -> list[int]:
        """The attributes' tags, for Offending Element (0000,0901)."""
        found = (tag_for_keyword(keyword.rsplit(".", 1)[-1]) for keyword in self.keywords)
        return [tag for tag in found if tag is not None]


def creation_shortcoming(dataset: Dataset, *, strict: bool = True) -> Shortcoming | None:
    """Return why a workitem cannot be created with these attributes, or None.

    strict: require attributes of type 2, and those of types 1 and 1C in the items of sequences; otherwise an
    absent one counts as empty, unless an item cannot be understood without it.
    """
    if wrong := misread(dataset):
        return Shortcoming(status=UpsStatus.INVALID_VALUE, keywords=wrong)
    absent = [one for one in CREATED_WITH_VALUE if one not in dataset]
    if strict:
        absent += [one for one in CREATED_PRESENT if one not in dataset]
    lacking = [
        (path, present)
        for path, present in lacking_in_items(dataset)
        if strict or path.rsplit(".", 1)[-1] in _INDISPENSABLE
    ]
    absent += [path for path, present in lacking if not present]
    if absent:
        return Shortcoming(status=UpsStatus.MISSING_ATTRIBUTE, keywords=tuple(absent))
    empty = [one for one in CREATED_WITH_VALUE if not text(dataset, one)]
    empty += [path for path, _ in lacking]
    if empty:
        return Shortcoming(status=UpsStatus.MISSING_VALUE, keywords=tuple(empty))
    if text(dataset, "ProcedureStepState") != StepState.SCHEDULED:
        return Shortcoming(status=UpsStatus.NOT_SCHEDULED, keywords=("ProcedureStepState",))
    invalid = list(_invalid(dataset))
    if _has_value(dataset, "TransactionUID"):
        invalid.append("TransactionUID")
    return Shortcoming(status=UpsStatus.INVALID_VALUE, keywords=tuple(invalid)) if invalid else None


def update_shortcoming(dataset: Dataset) -> Shortcoming | None:
    """Return why an N-SET with these attributes cannot be made, or None."""
    if wrong := misread(dataset):
        return Shortcoming(status=UpsStatus.INVALID_VALUE, keywords=wrong)
    forbidden = sorted(element.keyword for element in dataset if element.keyword in NOT_SETTABLE)
    if forbidden:
        return Shortcoming(status=UpsStatus.ATTRIBUTE_LIST_ERROR, keywords=tuple(forbidden))
    invalid = tuple(_invalid(dataset))
    return Shortcoming(status=UpsStatus.INVALID_VALUE, keywords=invalid) if invalid else None


def final_shortcoming(dataset: Dataset, requested: StepState) -> Shortcoming | None:
    """Return the attributes that the final state requires and the workitem lacks, or None."""
    if requested is StepState.COMPLETED:
        missing = list(
            _absent_in(dataset, "UnifiedProcedureStepPerformedProcedureSequence", _COMPLETED_WITH_VALUE)
        )
        performed = items(dataset, "UnifiedProcedureStepPerformedProcedureSequence")
        if performed and "OutputInformationSequence" not in performed[0]:
            missing.append("UnifiedProcedureStepPerformedProcedureSequence.OutputInformationSequence")
    else:
        missing = list(_absent_in(dataset, "ProcedureStepProgressInformationSequence", _CANCELED_WITH_VALUE))
    return Shortcoming(status=UpsStatus.FINAL_REQUIREMENTS, keywords=tuple(missing)) if missing else None


def _absent_in(dataset: Dataset, sequence: str, keywords: Iterable[str]) -> Iterator[str]:
    found = items(dataset, sequence)
    if not found:
        yield sequence
        return
    for keyword in keywords:
        if not _has_value(found[0], keyword):
            yield f"{sequence}.{keyword}"


def _invalid(dataset: Dataset) -> Iterator[str]:
    for keyword, allowed in (
        ("ScheduledProcedureStepPriority", frozenset(Priority)),
        ("InputReadinessState", frozenset(Readiness)),
    ):
        if _has_value(dataset, keyword) and text(dataset, keyword) not in allowed:
            yield keyword


def _has_value(dataset: Dataset, keyword: str) -> bool:
    return bool(items(dataset, keyword) or text(dataset, keyword) or numbers(dataset, keyword))

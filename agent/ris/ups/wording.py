"""The content of our workitems: a study's draft as a Unified Procedure Step, its performance, its
cancellation.

Source: PS3.3 C.30 (UPS modules), PS3.16 CID 9231 (workitem definitions), CID 9300 (discontinuation reasons).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from agent.ris.ups.records import URGENCY, dicom_time
from agent.ris.ups.terms import Readiness
from dicom_sr.attributes import items, text

LABEL = "AI pre-draft of a chest X-ray report (unverified)"
WORKLIST = "AI pre-drafts"
WORKITEM = codes.DCM.ComputerAidedDiagnosis
UNSPECIFIED = codes.DCM.DiscontinuedForUnspecifiedReason
# The standard's reasons for a stopped job, by the job's code.
_REASONS = {
    "not-eligible": codes.DCM.ObjectTypesNotSupported,
    "image-unreadable": codes.DCM.ObjectsIncorrectlyFormatted,
    "object-over-budget": codes.DCM.ObjectsIncorrectlyFormatted,
    "instance-unreadable": codes.DCM.ObjectsIncorrectlyFormatted,
    "instance-missing": codes.DCM.ObjectSetIncomplete,
    "patient-conflict": codes.DCM.IncorrectWorklistEntrySelected,
    "lease-expired": codes.DCM.EquipmentFailure,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """This application entity: its code, and the AE title from which its input can be retrieved."""

    ae_title: str
    name: str

    def code(self) -> Dataset:
        """Return the station as an item of a Station Name Code Sequence (private scheme 99ECHO)."""
        return coded(Code(self.ae_title.strip()[:16], "99ECHO", self.name[:64]))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkitemSubject:
    """The patient and images of a study; texts as in the images."""

    study_instance_uid: str
    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    patient_sex: str
    accession_number: str
    images: Sequence[Reference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One SOP Instance, and the AE title that holds it."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str = ""
    retrieve_ae_title: str = ""


def coded(code: Code) -> Dataset:
    """Return a code as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    return item


def priority_name(priority: int) -> str:
    """Return the priority of a job (0 STAT, 50 routine) as a Scheduled Procedure Step Priority."""
    return min(URGENCY, key=lambda name: (abs(URGENCY[name] - priority), URGENCY[name])).value


def draft_workitem(
    subject: WorkitemSubject, station: Station, *, priority: int, starts: datetime, readiness: Readiness
) -> Dataset:
    """Return the attributes of a study's draft as a new workitem."""
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.ScheduledProcedureStepPriority = priority_name(priority)
    item.ProcedureStepLabel, item.WorklistLabel = LABEL, WORKLIST
    item.ScheduledProcedureStepStartDateTime = item.ScheduledProcedureStepModificationDateTime = dicom_time(
        starts
    )
    item.InputReadinessState = readiness.value
    item.ScheduledWorkitemCodeSequence = [coded(WORKITEM)]
    item.ScheduledStationNameCodeSequence = [station.code()]
    item.ScheduledStationClassCodeSequence = []
    item.ScheduledStationGeographicLocationCodeSequence = []
    item.ScheduledProcessingParametersSequence = []
    item.CommentsOnTheScheduledProcedureStep = ""
    item.AdmissionID, item.IssuerOfAdmissionIDSequence = "", []
    item.AdmittingDiagnosesDescription, item.AdmittingDiagnosesCodeSequence = "", []
    order = Dataset()
    order.RequestedProcedureID = order.RequestedProcedureDescription = ""
    order.RequestedProcedureCodeSequence, order.IssuerOfAccessionNumberSequence = [], []
    item.ReferencedRequestSequence = [order]
    item.ProcedureStepProgressInformationSequence = []
    item.UnifiedProcedureStepPerformedProcedureSequence = []
    describe_subject(item, subject)
    return item


def describe_subject(item: Dataset, subject: WorkitemSubject) -> None:
    """Enter the patient, the order and the images of a draft, or what has become of them, in its workitem."""
    item.InputInformationSequence = references(subject.images, subject.study_instance_uid)
    item.PatientName, item.PatientID = subject.patient_name, subject.patient_id
    item.IssuerOfPatientID = subject.issuer_of_patient_id
    item.PatientBirthDate, item.PatientSex = subject.patient_birth_date, subject.patient_sex
    order = item.ReferencedRequestSequence[0]
    order.StudyInstanceUID, order.AccessionNumber = subject.study_instance_uid, subject.accession_number


def references(images: Sequence[Reference], study_instance_uid: str) -> list[Dataset]:
    """Return instances as items of an Input or Output Information Sequence, one for each series and
    source.
    """
    by_source: dict[tuple[str, str], Dataset] = {}
    for image in images:
        key = image.series_instance_uid, image.retrieve_ae_title
        item = by_source.get(key)
        if item is None:
            item = by_source[key] = Dataset()
            item.TypeOfInstances = "DICOM"
            item.StudyInstanceUID = image.study_instance_uid or study_instance_uid
            item.SeriesInstanceUID = image.series_instance_uid
            item.ReferencedSOPSequence = []
            retrieval = Dataset()
            retrieval.RetrieveAETitle = image.retrieve_ae_title
            item.DICOMRetrievalSequence = [retrieval]
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
            image.sop_class_uid,
            image.sop_instance_uid,
        )
        item.ReferencedSOPSequence.append(reference)
    return list(by_source.values())


def performed(
    scheduled: Dataset, station: Station, *, began: datetime, ended: datetime, outputs: Sequence[Reference]
) -> Dataset:
    """Return the item of the Performed Procedure Sequence; the workitem performed is the one scheduled."""
    item = Dataset()
    item.ActualHumanPerformersSequence = []
    item.PerformedStationNameCodeSequence = [station.code()]
    item.PerformedStationClassCodeSequence = []
    item.PerformedStationGeographicLocationCodeSequence = []
    item.PerformedProcedureStepStartDateTime = dicom_time(began)
    item.PerformedProcedureStepDescription = LABEL
    item.CommentsOnThePerformedProcedureStep = ""
    item.PerformedWorkitemCodeSequence = list(
        items(scheduled, "ScheduledWorkitemCodeSequence") or [coded(WORKITEM)]
    )
    item.PerformedProcessingParametersSequence = []
    item.PerformedProcedureStepEndDateTime = dicom_time(ended)
    item.OutputInformationSequence = references(outputs, "")
    return item


def progress(percent: int, description: str) -> Dataset:
    """Return the item of the Progress Information Sequence: 0 to 100 %, and what is being done."""
    item = Dataset()
    item.ProcedureStepProgress, item.ProcedureStepProgressDescription = percent, description
    return item


def cancellation(
    content: Dataset,
    now: datetime,
    information: Dataset | None = None,
    *,
    code: str | None = None,
    reason: str = "",
) -> Dataset:
    """Return the item of the Progress Information Sequence that says when and why a workitem was canceled.

    information: the dataset of the request to cancel; `code` and `reason` are those of a stopped job.
    """
    said = items(content, "ProcedureStepProgressInformationSequence")
    item = said[0] if said else Dataset()
    item.ProcedureStepCancellationDateTime = dicom_time(now)
    given = information or Dataset()
    item.ProcedureStepDiscontinuationReasonCodeSequence = list(
        items(given, "ProcedureStepDiscontinuationReasonCodeSequence")
        or [coded(_REASONS.get(code or "", UNSPECIFIED))]
    )
    if why := text(given, "ReasonForCancellation") or reason:
        item.ReasonForCancellation = why
    return item

"""Our Modality Worklist SCU: queries the entries for one accession number.

Source: PS3.4 annex K (basic worklist management), table K.6-1 (attributes).
"""

from __future__ import annotations

import time

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
)

from agent.foundation.errors import WorklistRefused, WorklistUnavailable
from agent.foundation.settings.tree import MwlSettings
from agent.network.scu import ConnectionLost, NoContext, Peer, associated

MODALITY_WORKLIST = UID(ModalityWorklistInformationFind)
# More entries than this for one accession number mean that the worklist ignores the key: a refusal.
MOST_ENTRIES = 100
_PENDING = (0xFF00, 0xFF01)
# The return keys; an empty sequence requests all of its items.
_RETURNED = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "AdditionalPatientHistory",
    "AdmittingDiagnosesDescription",
    "StudyInstanceUID",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedurePriority",
    "ReasonForTheRequestedProcedure",
)
_RETURNED_SEQUENCES = ("RequestedProcedureCodeSequence", "ReasonForRequestedProcedureCodeSequence")
_STEP = ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepID")


def worklist_entries(settings: MwlSettings, accession_number: str) -> list[Dataset]:
    """Return a worklist's entries for an accession number, all within `time_budget_s`.

    Raises:
        WorklistUnavailable: it cannot be reached, broke off, or did not end in time.
        WorklistRefused: it answers with a refusal.
    """
    deadline = time.monotonic() + settings.time_budget_s
    peer: Peer = settings
    try:
        with associated(peer, [MODALITY_WORKLIST]) as association:
            return _find(association, _query(accession_number), settings.timeout_s, deadline)
    except NoContext as error:
        raise WorklistRefused("the worklist does not offer queries (Modality Worklist)") from error
    except ConnectionLost as error:
        raise WorklistUnavailable(str(error).replace("the destination", "the worklist")) from error


def offers_worklist(settings: MwlSettings) -> bool:
    """Return whether an application entity offers Modality Worklist.

    Raises:
        DeliveryFailed: it cannot be reached, or rejects us; the text says which.
    """
    peer: Peer = settings
    try:
        with associated(peer, [MODALITY_WORKLIST]):
            return True
    except NoContext:
        return False


def _query(accession_number: str) -> Dataset:
    query = Dataset()
    if not accession_number.isascii():
        query.SpecificCharacterSet = "ISO_IR 192"
    query.AccessionNumber = accession_number
    for keyword in _RETURNED:
        setattr(query, keyword, "")
    for keyword in _RETURNED_SEQUENCES:
        setattr(query, keyword, [])
    step = Dataset()
    for keyword in _STEP:
        setattr(step, keyword, "")
    query.ScheduledProcedureStepSequence = [step]
    return query


def _find(association: Association, query: Dataset, timeout_s: float, deadline: float) -> list[Dataset]:
    found: list[Dataset] = []
    _arm(association, timeout_s, deadline)
    try:
        for status, identifier in association.send_c_find(query, MODALITY_WORKLIST):
            if "Status" not in status:
                break
            if int(status.Status) not in _PENDING:
                if int(status.Status) == 0:
                    return found
                raise WorklistRefused(f"the worklist answered the C-FIND with 0x{int(status.Status):04X}")
            if identifier is not None:
                found.append(identifier)
            if len(found) > MOST_ENTRIES:
                association.abort()
                raise WorklistRefused(f"the worklist gave more than {MOST_ENTRIES} entries to one question")
            _arm(association, timeout_s, deadline)
    except (RuntimeError, ValueError) as error:
        raise WorklistRefused("the worklist does not offer queries (Modality Worklist)") from error
    raise WorklistUnavailable("the worklist did not answer the C-FIND, or broke off")


def _arm(association: Association, timeout_s: float, deadline: float) -> None:
    """Limit the next wait to the deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        association.abort()
        raise WorklistUnavailable("the worklist did not end its C-FIND in time")
    association.dimse_timeout = min(timeout_s, left)

"""Workitems between rows and datasets: attributes as DICOM JSON, and as columns the few that are searched.

Source: PS3.18 annex F (DICOM JSON), PS3.4 CC.2.5 (attributes of a workitem).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.workitems import Workitem
from agent.foundation.errors import WorkitemInvalid
from agent.ris.ups.matching import comparable_name
from agent.ris.ups.terms import PUSH, Priority, StepState
from dicom_sr.attributes import FOREIGN_ERRORS, items, text

URGENCY = {Priority.HIGH: 0, Priority.MEDIUM: 50, Priority.LOW: 100}
# In the column of the accession number: there are several, so the content must be compared.
SEVERAL = "*"
# Never disclosed: whoever knows it can act as the performer (PS3.4 CC.2.7).
_SECRET = "TransactionUID"


def as_json(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset as DICOM JSON.

    Raises:
        WorkitemInvalid: a value does not fit its value representation.
    """
    try:
        return dataset.to_json_dict()
    except FOREIGN_ERRORS as error:
        raise WorkitemInvalid("an attribute's value does not fit its value representation") from error


def as_dataset(content: Any) -> Dataset:
    """Return DICOM JSON as a dataset.

    Raises:
        WorkitemInvalid: it is none.
    """
    try:
        return Dataset.from_json(content)
    except FOREIGN_ERRORS as error:
        raise WorkitemInvalid("this is no dataset in DICOM JSON (PS3.18 annex F)") from error


def urgency_of(dataset: Dataset) -> int:
    """Return the rank of the priority: 0 HIGH, 50 MEDIUM, 100 LOW."""
    value = text(dataset, "ScheduledProcedureStepPriority")
    return next((rank for name, rank in URGENCY.items() if name == value), URGENCY[Priority.MEDIUM])


def dicom_time(moment: datetime) -> str:
    """Return a moment as a DT value with its offset from UTC."""
    return moment.astimezone().strftime("%Y%m%d%H%M%S.%f%z")


def locked(session: Session, uid: str) -> Workitem | None:
    """Return a workitem, held until the transaction ends; None where there is none."""
    return session.scalar(select(Workitem).where(Workitem.uid == uid).with_for_update())


def add(
    session: Session,
    uid: str,
    dataset: Dataset,
    *,
    now: datetime,
    job_id: int | None = None,
    generation: int = 1,
) -> Workitem:
    """Enter a new workitem in SCHEDULED; the dataset becomes its content."""
    row = Workitem(
        uid=uid or generate_uid(prefix=None),
        job_id=job_id,
        generation=generation,
        state=StepState.SCHEDULED.value,
        touched_at=now,
        created_at=now,
        content={},
    )
    save(row, dataset)
    session.add(row)
    session.flush()
    return row


def save(row: Workitem, dataset: Dataset) -> None:
    """Write a workitem's attributes; its identity and state always come from the row."""
    dataset.SpecificCharacterSet = "ISO_IR 192"  # DICOM JSON has no other (PS3.18 F.2.2)
    dataset.SOPClassUID, dataset.SOPInstanceUID = PUSH, row.uid
    dataset.ProcedureStepState = row.state
    if _SECRET in dataset:
        del dataset[_SECRET]
    row.content = as_json(dataset)
    for column, value in search_columns(dataset).items():
        setattr(row, column, value)


def search_columns(dataset: Dataset) -> dict[str, Any]:
    """Return what the columns hold by which workitems are found."""
    numbers = {text(order, "AccessionNumber") for order in items(dataset, "ReferencedRequestSequence")} - {""}
    return {
        "urgency": urgency_of(dataset),
        "patient_id": text(dataset, "PatientID"),
        "patient_name": comparable_name(text(dataset, "PatientName")),
        "accession_number": SEVERAL if len(numbers) > 1 else next(iter(numbers), ""),
        "study_instance_uid": study_of(dataset),
    }


def content_of(row: Workitem) -> Dataset:
    """Return a workitem's attributes."""
    return as_dataset(row.content)


def chosen(dataset: Dataset, tags: Iterable[int] | None) -> Dataset:
    """Return the attributes that an N-GET asks for, all of them where it names none."""
    wanted = set(tags or ())
    if not wanted:
        return dataset
    answer = Dataset()
    for element in dataset:
        if int(element.tag) in wanted or element.keyword == "SpecificCharacterSet":
            answer.add(element)
    return answer


def study_of(dataset: Dataset) -> str:
    """Return the Study Instance UID that a workitem is about: of its input, else of its order."""
    for sequence in ("InputInformationSequence", "ReferencedRequestSequence"):
        for item in items(dataset, sequence):
            if uid := text(item, "StudyInstanceUID"):
                return uid
    return text(dataset, "StudyInstanceUID")

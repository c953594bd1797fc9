"""Converts workitems between rows and datasets: attributes as DICOM JSON, and the searchable values.

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
from agent.ris.ups import index
from agent.ris.ups.terms import PUSH, Priority, StepState
from dicom_sr.attributes import FOREIGN_ERRORS, items, text

URGENCY = {Priority.HIGH: 0, Priority.MEDIUM: 50, Priority.LOW: 100}
# Never disclosed: anyone who knows it can act as the performer (PS3.4 CC.2.7).
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
        WorkitemInvalid: it is not DICOM JSON.
    """
    try:
        return Dataset.from_json(content)
    except FOREIGN_ERRORS as error:
        raise WorkitemInvalid("this is not a dataset in DICOM JSON (PS3.18 annex F)") from error


def urgency_of(dataset: Dataset) -> int:
    """Return the rank of the priority: 0 HIGH, 50 MEDIUM, 100 LOW."""
    value = text(dataset, "ScheduledProcedureStepPriority")
    return next((rank for name, rank in URGENCY.items() if name == value), URGENCY[Priority.MEDIUM])


def dicom_time(moment: datetime) -> str:
    """Return a moment as a DT value with its offset from UTC."""
    return moment.astimezone().strftime("%Y%m%d%H%M%S.%f%z")


def locked(session: Session, uid: str) -> Workitem | None:
    """Return a workitem, locked until the transaction ends, or None."""
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
    """Enter a new workitem as SCHEDULED, with the dataset as its content."""
    row = Workitem(
        uid=uid or generate_uid(prefix=None),
        job_id=job_id,
        generation=generation,
        state=StepState.SCHEDULED.value,
        touched_at=now,
        created_at=now,
        content={},
    )
    session.add(row)
    session.flush()
    save(session, row, dataset)
    return row


def save(session: Session, row: Workitem, dataset: Dataset) -> None:
    """Write a workitem's attributes and its index; identity and state always come from the row."""
    dataset.SpecificCharacterSet = "ISO_IR 192"  # DICOM JSON has no other (PS3.18 F.2.2)
    dataset.SOPClassUID, dataset.SOPInstanceUID = PUSH, row.uid
    dataset.ProcedureStepState = row.state
    if _SECRET in dataset:
        del dataset[_SECRET]
    before, after = row.content, as_json(dataset)
    if after != before:
        index.write(session, row.id, index.entries_of(before), index.entries_of(after))
        row.content, row.urgency = after, urgency_of(dataset)


def content_of(row: Workitem) -> Dataset:
    """Return a workitem's attributes."""
    return as_dataset(row.content)


def chosen(dataset: Dataset, tags: Iterable[int] | None) -> Dataset:
    """Return the attributes that an N-GET requests, or all if it names none."""
    wanted = set(tags or ())
    if not wanted:
        return dataset
    answer = Dataset()
    for element in dataset:
        if int(element.tag) in wanted or element.keyword == "SpecificCharacterSet":
            answer.add(element)
    return answer


def study_of(dataset: Dataset) -> str:
    """Return the Study Instance UID of a workitem's input, else of its order."""
    for sequence in ("InputInformationSequence", "ReferencedRequestSequence"):
        for item in items(dataset, sequence):
            if uid := text(item, "StudyInstanceUID"):
                return uid
    return text(dataset, "StudyInstanceUID")

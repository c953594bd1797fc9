"""Finding workitems: what an index can answer is asked of the database, the rest is matched row by row.

Source: PS3.4 CC.2.8 (UPS Query), PS3.18 section 11.9 (search).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from sqlalchemy import Select, and_, or_, select

from agent.database.session import Database
from agent.database.workitems import Workitem
from agent.ups.matching import matches, selected
from agent.ups.records import URGENCY, as_dataset
from dicom_sr.attributes import items, texts

_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of the answers: the first `offset` are passed over, then at most `limit` are given.

    whole: with all attributes, not only those that the keys name.
    """

    limit: int | None = None
    offset: int = 0
    whole: bool = False


def find(database: Database, keys: Dataset, page: Page) -> Iterator[Dataset]:
    """Yield the workitems that match the keys, urgent ones first, with the attributes that the keys name.

    Each batch is read in a transaction of its own, so that a slow reader holds nothing open. A workitem
    whose priority changes meanwhile may be missed or come twice, as the standard allows.
    """
    after: tuple[int, int] | None = None
    passed = given = 0
    while page.limit is None or given < page.limit:
        with database.reading() as session:
            rows = session.scalars(_query(keys, after).limit(_BATCH)).all()
        for row in rows:
            content = as_dataset(row.content)
            if not matches(content, keys):
                continue
            passed += 1
            if passed <= page.offset:
                continue
            yield content if page.whole else selected(content, keys)
            given += 1
            if given == page.limit:
                return
        if len(rows) < _BATCH:
            return
        after = rows[-1].urgency, rows[-1].id


def _query(keys: Dataset, after: tuple[int, int] | None) -> Select[Workitem]:
    query = select(Workitem).order_by(Workitem.urgency, Workitem.id)
    for keyword, column in (
        ("SOPInstanceUID", Workitem.uid),
        ("ProcedureStepState", Workitem.state),
        ("PatientID", Workitem.patient_id),
    ):
        if values := _plain(keys, keyword):
            query = query.where(column.in_(values))
    if ranks := [
        rank for name, rank in URGENCY.items() if name in _plain(keys, "ScheduledProcedureStepPriority")
    ]:
        query = query.where(Workitem.urgency.in_(ranks))
    if studies := _studies(keys):
        query = query.where(Workitem.study_instance_uid.in_(studies))
    if after is not None:
        urgency, row_id = after
        later = and_(Workitem.urgency == urgency, Workitem.id > row_id)
        query = query.where(or_(Workitem.urgency > urgency, later))
    return query


def _studies(keys: Dataset) -> Sequence[str]:
    """The Study Instance UID of the input; that of the order may be another, and is matched row by row."""
    found = items(keys, "InputInformationSequence")
    return _plain(found[0], "StudyInstanceUID") if found else ()


def _plain(keys: Dataset, keyword: str) -> Sequence[str]:
    """The values of a key that have no wild card: only these can be asked of an index."""
    plain = [one for one in texts(keys, keyword) if one]
    return plain if all("*" not in one and "?" not in one for one in plain) else ()

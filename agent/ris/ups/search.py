"""Finding workitems: what an index can answer is asked of the database, the rest is matched row by row.

Source: PS3.4 CC.2.8 (UPS Query), PS3.18 section 11.9 (search).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from agent.database.session import Database
from agent.database.workitems import Workitem
from agent.ris.ups.matching import comparable_name, keys_of, matches, selected, selective
from agent.ris.ups.records import SEVERAL, URGENCY
from dicom_sr.attributes import items, texts

# The first answers come from a small batch; whoever reads on gets larger ones.
_FIRST_BATCH, _BATCH = 20, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which part of the answers: the first `offset` are passed over, then at most `limit` are given.

    whole: with all attributes, not only those that the keys name.
    """

    limit: int | None = None
    offset: int = 0
    whole: bool = False


def find(database: Database, identifier: Dataset, page: PageRequest) -> Iterator[dict[str, Any]]:
    """Yield the workitems that match, in DICOM JSON, urgent ones first, with what is asked for.

    Each batch is read in a transaction of its own, so that a slow reader holds nothing open. A workitem
    whose priority changes meanwhile may be missed or come twice, as the standard allows.
    """
    keys = keys_of(identifier)
    matching = selective(keys)
    after: tuple[int, int] | None = None
    passed = given = 0
    while page.limit is None or given < page.limit:
        size = _FIRST_BATCH if after is None else _BATCH
        if page.limit is not None and after is None:
            size = min(_BATCH, max(_FIRST_BATCH, page.limit + page.offset))
        with database.reading() as session:
            query = _query(identifier, after, session.get_bind().dialect.name)
            rows = session.execute(query.limit(size)).all()
        for row in rows:
            if not matches(row.content, matching):
                continue
            passed += 1
            if passed <= page.offset:
                continue
            yield row.content if page.whole else selected(row.content, keys)
            given += 1
            if given == page.limit:
                return
        if len(rows) < size:
            return
        after = rows[-1].urgency, rows[-1].id


def _query(keys: Dataset, after: tuple[int, int] | None, dialect: str) -> Select[int, int, dict[str, Any]]:
    query = select(Workitem.urgency, Workitem.id, Workitem.content)
    query = query.order_by(Workitem.urgency, Workitem.id)
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
    for order in items(keys, "ReferencedRequestSequence")[:1]:
        if values := _plain(order, "AccessionNumber"):
            query = query.where(Workitem.accession_number.in_([SEVERAL, *values]))
    if len(names := texts(keys, "PatientName")) == 1:
        query = query.where(*_like(Workitem.patient_name, comparable_name(names[0]), dialect))
    if studies := _studies(keys):
        query = query.where(Workitem.study_instance_uid.in_(studies))
    if after is not None:
        query = query.where(tuple_(Workitem.urgency, Workitem.id) > tuple_(*after))
    return query


def _like(column: InstrumentedAttribute[str], wanted: str, dialect: str) -> list[ColumnElement[bool]]:
    """Compare a column with a text in which `*` and `?` are wild cards, and nothing else is."""
    prefix = re.split(r"[*?]", wanted, maxsplit=1)[0]
    if prefix == wanted:
        return [column == wanted]
    escaped = re.sub(r"([%_\\])", r"\\\1", wanted).replace("*", "%").replace("?", "_")
    found: list[ColumnElement[bool]] = [column.like(escaped, escape="\\")]
    if prefix and dialect == "sqlite":
        # Its LIKE does not use an index; it compares texts by their code points.
        found += [column >= prefix, column < prefix + chr(0x10FFFF)]
    return found


def _studies(keys: Dataset) -> Sequence[str]:
    """The Study Instance UID of the input; that of the order may be another, and is matched row by row."""
    found = items(keys, "InputInformationSequence")
    return _plain(found[0], "StudyInstanceUID") if found else ()


def _plain(keys: Dataset, keyword: str) -> Sequence[str]:
    """The values of a key that have no wild card: only these can be asked of an index."""
    plain = [one for one in texts(keys, keyword) if one]
    return plain if all("*" not in one and "?" not in one for one in plain) else ()

"""The workitems that may match a query, in the order of the answers, read in batches.

If the value of some key is rare, the workitems that have it are read and sorted. If the values of all keys
are common, the whole list is walked in order until the reader has enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, cast, func, literal, select, tuple_
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.database.workitems import Workitem, WorkitemValue
from agent.ris.ups.conditions import IndexKey
from agent.ris.ups.matching import Json

# Up to this many workitems with a value are read and sorted; if more have it, the list is walked.
_FEW = 2000
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The query to the database: conditions on the columns, keys of the index, rows to skip.

    first: how many are read at first (1 or more); each batch is twice as large as the one before.
    """

    columns: Sequence[ColumnElement[bool]]
    keys: Sequence[IndexKey]
    passed: int
    first: int

    def read(self, database: Database) -> Iterator[Json]:
        """Yield the contents; each batch is read in a transaction of its own."""
        with database.reading() as session:
            few = self._few(session)
            ids = None if few is None else self._sorted(session, few)
        if ids is None:
            yield from self._walk(database)
            return
        size = self.first
        while ids:
            batch, ids = ids[:size], ids[size:]
            with database.reading() as session:
                contents = _contents(session, batch)
            yield from map(json.loads, contents)
            size = min(_BATCH, 2 * size)

    def _walk(self, database: Database) -> Iterator[Json]:
        query = select(Workitem.urgency, Workitem.id).where(*self.columns, *map(_has, self.keys))
        query = query.order_by(Workitem.urgency, Workitem.id)
        size, part = self.first, query.offset(self.passed)
        while True:
            with database.reading() as session:
                rows = session.execute(part.limit(size)).all()
                contents = _contents(session, [row.id for row in rows])
            yield from map(json.loads, contents)
            if len(rows) < size:
                return
            last = rows[-1]
            part = query.where(tuple_(Workitem.urgency, Workitem.id) > tuple_(last.urgency, last.id))
            size = min(_BATCH, 2 * size)

    def _few(self, session: Session) -> Sequence[int] | None:
        """The workitems that have the rarest of the values; None if all values are common."""
        rarest = None
        for key in self.keys:
            found = select(WorkitemValue.workitem_id).where(_is(key)).limit(_FEW + 1)
            count = session.scalar(select(func.count()).select_from(found.subquery())) or 0
            if count <= _FEW and (rarest is None or count < rarest[0]):
                rarest = count, found
            if count == 0:
                return []
        return None if rarest is None else sorted(set(session.scalars(rarest[1])))

    def _sorted(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        query = select(Workitem.id).where(Workitem.id.in_(ids), *self.columns, *map(_has, self.keys))
        return session.scalars(query.order_by(Workitem.urgency, Workitem.id).offset(self.passed)).all()


def _contents(session: Session, ids: Sequence[int]) -> list[str]:
    """As text: a reader that stops early does not parse the rest."""
    rows = session.execute(select(Workitem.id, cast(Workitem.content, Text)).where(Workitem.id.in_(ids)))
    found: dict[int, str] = {row[0]: row[1] for row in rows}
    return [found[one] for one in ids if one in found]


def _is(key: IndexKey) -> ColumnElement[bool]:
    return (WorkitemValue.path == key.path) & key.condition


def _has(key: IndexKey) -> ColumnElement[bool]:
    """Whether a workitem has such a value; as a scalar, so that it is looked up row by row in the list's
    order.
    """
    rows = select(literal(1)).where(WorkitemValue.workitem_id == Workitem.id, _is(key))
    return rows.limit(1).correlate(Workitem).scalar_subquery() == 1

"""The places of studies in the list: those that match a query, in its order, and the neighbours of one.

Every order walks an index of `listings` from the last row shown (a keyset), so the hundredth page of 100,000
studies takes no longer than the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from agent.database.session import Database
from agent.database.tables import Listing, ListingTag, Study, UtcDateTime
from agent.reports import worklist_row as listing
from agent.reports.urgency import ROUTINE
from agent.web.query import Order, Place, Query, place_of

COUNT_CAP = 1000
CRITICAL_BELOW = 10
MOST_WORDS = 5
_SHELVES = (listing.OPEN, listing.VERIFIED, listing.REJECTED, listing.NONE)
Keys = tuple[InstrumentedAttribute[Any], ...]
# The keys of each order, and whether it is descending. Among equally urgent drafts, the longest waiting one
# is first.
_KEYS: Mapping[Order, tuple[Keys, bool]] = {
    "urgency": ((Listing.urgency, Listing.drafted_at, Listing.study_id), False),
    "waiting": ((Listing.arrived_at, Listing.study_id), False),
    "arrival": ((Listing.arrived_at, Listing.study_id), True),
    "patient": ((Listing.patient, Listing.study_id), False),
    "study": ((Listing.taken, Listing.study_id), True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The studies before and after one in the list from which it was opened; None at either end."""

    previous: int | None
    next: int | None


def places(session: Session, query: Query) -> list[Place]:
    """Return the keys of the matching rows, in order: those of this page, and as many as are counted."""
    keys, down = _sorting(query)
    place = _place(query)
    most = max(query.limit, COUNT_CAP) + 1 if not query.after else query.limit + 1
    return _walk(session, query, keys, place, most, down=down)


def read_neighbours(database: Database, study_id: int, query: Query) -> Neighbours:
    """Return the neighbours of a study in the list of this query; the study itself need not be in it.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    keys, down = _sorting(query)
    with database.reading() as session:
        row = session.execute(select(*keys).where(Listing.study_id == study_id)).first()
        if row is None:
            return Neighbours(previous=None, next=None)
        place: Place = tuple(row)
        after = _walk(session, query, keys, place, 1, down=down)
        before = _walk(session, query, keys, place, 1, down=not down)
    return Neighbours(previous=_study(before), next=_study(after))


def is_listed(database: Database, study_id: int, query: Query) -> bool:
    """Whether the study is (still) in the list of this query."""
    shelves = _SHELVES if query.show == "all" else (query.show,)
    fits = (Listing.study_id == study_id, Listing.shelf.in_(shelves), *_conditions(query))
    with database.reading() as session:
        return session.scalar(select(Listing.study_id).where(*fits)) is not None


def _walk(
    session: Session, query: Query, keys: Keys, place: Place | None, most: int, *, down: bool
) -> list[Place]:
    """Return at most `most` places after one, on all shelves that the query shows."""
    shelves = _SHELVES if query.show == "all" else (query.show,)
    found: list[Place] = []
    for shelf in shelves:
        statement = select(*keys).where(Listing.shelf == shelf, *_conditions(query))
        found += [
            tuple(row) for row in session.execute(_behind(statement, keys, place, down=down).limit(most))
        ]
    if len(shelves) > 1:
        found.sort(reverse=down)
    return found[:most]


def _behind(statement: Select[Any], keys: Keys, place: Place | None, *, down: bool) -> Select[Any]:
    if place is not None:
        last = tuple_(*(literal(value, key.type) for value, key in zip(place, keys, strict=True)))
        statement = statement.where(tuple_(*keys) < last if down else tuple_(*keys) > last)
    return statement.order_by(*(key.desc() if down else key for key in keys))


def _sorting(query: Query) -> tuple[Keys, bool]:
    keys, down = _KEYS[query.order]
    return keys, down != query.reverse


def _place(query: Query) -> Place | None:
    keys, _ = _KEYS[query.order]
    kinds = [datetime if isinstance(key.type, UtcDateTime) else key.type.python_type for key in keys]
    return place_of(query.after, kinds)


def _study(found: list[Place]) -> int | None:
    return int(found[0][-1]) if found else None  # type: ignore[arg-type]


def _conditions(query: Query) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if query.urgent != "any":
        where.append(Listing.urgency < (CRITICAL_BELOW if query.urgent == "critical" else ROUTINE))
    tags = [query.finding] if query.finding else []
    if query.flag == "conflict":
        where.append(Listing.study_id.in_(select(Study.id).where(Study.conflict.is_not(None))))
    elif query.flag:
        tags.append(f"flag:{query.flag}")
    where += [Listing.study_id.in_(select(ListingTag.study_id).where(ListingTag.tag == tag)) for tag in tags]
    # No row contains a NUL, and PostgreSQL refuses it.
    words = query.search.replace("\0", "\N{REPLACEMENT CHARACTER}").casefold().split()[:MOST_WORDS]
    return where + [Listing.search.contains(word, autoescape=True) for word in words]

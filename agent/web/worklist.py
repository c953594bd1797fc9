"""The list: the newest draft of each study, filtered, in one of a few orders, a page at a time.

Every order walks an index of `listings` from the last row shown (a keyset), so that the hundredth page of
100,000 studies costs what the first does; drafts and studies are read for the rows of one page only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Draft, Job, Listing, ListingTag, Study, UtcDateTime
from agent.reports import worklist_row as listing
from agent.reports.urgency import ROUTINE
from agent.web.query import Order, Place, Query, cursor_of, place_of

COUNT_CAP = 1000
CRITICAL_BELOW = 10
MOST_WORDS = 5
_UNDER_WAY = (JobState.RECEIVING.value, JobState.QUEUED.value, JobState.GENERATING.value)
_SHELVES = (listing.OPEN, listing.VERIFIED, listing.REJECTED, listing.NONE)
Keys = tuple[InstrumentedAttribute[Any], ...]
# By what each order sorts, and whether downwards. Of equally urgent drafts the longest waiting is first.
_KEYS: Mapping[Order, tuple[Keys, bool]] = {
    "urgency": ((Listing.urgency, Listing.drafted_at, Listing.study_id), False),
    "waiting": ((Listing.arrived_at, Listing.study_id), False),
    "arrival": ((Listing.arrived_at, Listing.study_id), True),
    "patient": ((Listing.patient, Listing.study_id), False),
    "study": ((Listing.taken, Listing.study_id), True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One study with its newest draft."""

    study_id: int
    patient_name: str
    patient_id: str
    patient_birth_date: str
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    revision: int
    newer_images: bool
    after_verification: bool
    conflict: str | None
    outcome: str
    demonstration: bool
    content: Mapping[str, Any]
    created_at: datetime
    arrived_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the list; `count` is at most `COUNT_CAP`, `cursor` empty on the last page."""

    rows: Sequence[Row]
    cursor: str
    count: int
    under_way: int
    now: datetime


def read_page(database: Database, query: Query) -> Page:
    """Read one page; `count` counts from the cursor on.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        places = _places(session, query)
        shown = places[: query.limit]
        return Page(
            rows=_rows(session, [int(place[-1]) for place in shown]),  # type: ignore[arg-type]
            cursor=cursor_of(shown[-1]) if len(places) > len(shown) else "",
            count=min(len(places), COUNT_CAP),
            under_way=_under_way(session),
            now=database_now(session),
        )


def _places(session: Session, query: Query) -> list[Place]:
    """Return the keys of the rows that fit, in order: those of this page, and as many as are counted."""
    keys, down = _KEYS[query.order]
    most = max(query.limit, COUNT_CAP) + 1 if not query.after else query.limit + 1
    shelves = _SHELVES if query.show == "all" else (query.show,)
    found: list[Place] = []
    for shelf in shelves:
        statement = select(*keys).where(Listing.shelf == shelf, *_conditions(query))
        found += [tuple(row) for row in session.execute(_ordered(statement, query, most))]
    if len(shelves) > 1:
        found.sort(reverse=down)
    return found[:most]


def _ordered(statement: Select[Any], query: Query, most: int) -> Select[Any]:
    keys, down = _KEYS[query.order]
    kinds = [datetime if isinstance(key.type, UtcDateTime) else key.type.python_type for key in keys]
    place = place_of(query.after, kinds)
    if place is not None:
        last = tuple_(*(literal(value, key.type) for value, key in zip(place, keys, strict=True)))
        statement = statement.where(tuple_(*keys) < last if down else tuple_(*keys) > last)
    return statement.order_by(*(key.desc() if down else key for key in keys)).limit(most)


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
    # A NUL stands in no row, and PostgreSQL refuses it.
    words = query.search.replace("\0", "\N{REPLACEMENT CHARACTER}").casefold().split()[:MOST_WORDS]
    return where + [Listing.search.contains(word, autoescape=True) for word in words]


def _rows(session: Session, study_ids: Sequence[int]) -> list[Row]:
    if not study_ids:
        return []
    found = session.execute(
        select(Listing, Draft, Study)
        .join(Draft, Draft.id == Listing.draft_id)
        .join(Study, Study.id == Listing.study_id)
        .where(Listing.study_id.in_(study_ids))
    )
    late = set(
        session.scalars(
            select(ListingTag.study_id).where(
                ListingTag.tag == listing.AFTER_VERIFICATION, ListingTag.study_id.in_(study_ids)
            )
        )
    )
    rows = {line.study_id: _row(draft, study, late=study.id in late) for line, draft, study in found}
    return [rows[number] for number in study_ids if number in rows]


def _under_way(session: Session) -> int:
    count = 0
    for state in _UNDER_WAY:
        some = select(Job.id).where(Job.state == state).limit(COUNT_CAP).subquery()
        count += session.execute(select(func.count()).select_from(some)).scalar_one()
    return count


def _row(draft: Draft, study: Study, *, late: bool) -> Row:
    newer = study.revision > draft.revision
    return Row(
        study_id=study.id,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        patient_birth_date=study.patient_birth_date,
        accession_number=study.accession_number,
        study_date=study.study_date,
        study_time=study.study_time,
        study_description=study.study_description,
        revision=draft.revision,
        newer_images=newer and draft.outcome != "verified",
        after_verification=late or (newer and draft.outcome == "verified"),
        conflict=study.conflict,
        outcome=draft.outcome,
        demonstration=draft.demonstration,
        content=draft.content,
        created_at=draft.created_at,
        arrived_at=study.first_received_at,
    )

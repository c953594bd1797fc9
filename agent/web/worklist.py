"""The list: the newest draft of each study, filtered, in one of a few orders, a page at a time.

Every order walks an index from the last row shown (a keyset), so that the hundredth page of 100,000
studies costs what the first does. Study rows are joined for the rows of one page only, except in a search.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import ColumnElement

from agent.db.session import Database, database_now
from agent.db.tables import Draft, Job, Study
from agent.queue.states import JobState
from agent.urgency import ROUTINE

Show = Literal["open", "verified", "rejected", "none"]
Order = Literal["urgency", "newest", "oldest"]
Urgent = Literal["any", "urgent", "critical"]
SHOWS: tuple[Show, ...] = get_args(Show)
ORDERS: tuple[Order, ...] = get_args(Order)
URGENTS: tuple[Urgent, ...] = get_args(Urgent)
PAGE = 50
LONGEST_PAGE = 500
COUNT_CAP = 1000
# A search looks at the newest so many matching studies.
SEARCH_CAP = 2000
CRITICAL_BELOW = 10
_OUTCOMES: Mapping[Show, tuple[str, ...]] = {
    "open": ("drafted",),
    "verified": ("verified",),
    "rejected": ("rejected",),
    "none": ("failed", "not_attempted"),
}
_UNDER_WAY = (JobState.RECEIVING.value, JobState.QUEUED.value, JobState.GENERATING.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What the list shows: `after` is the cursor of the last row that is already shown."""

    show: Show = "open"
    urgent: Urgent = "any"
    order: Order = "urgency"
    search: str = ""
    after: str = ""
    limit: int = PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One study with its newest draft."""

    study_id: int
    draft_id: int
    patient_name: str
    patient_id: str
    patient_birth_date: str
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    revision: int
    newer_images: bool
    conflict: str | None
    outcome: str
    urgency: int
    demonstration: bool
    content: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the list; `count` is at most `COUNT_CAP`, `cursor` empty on the last page."""

    rows: Sequence[Row]
    cursor: str
    count: int
    under_way: int
    now: datetime


def query_of(values: Mapping[str, str]) -> Query:
    """Return what an address asks for; what it says wrongly counts as not said."""
    show, urgent, order = values.get("show", ""), values.get("urgent", ""), values.get("order", "")
    return Query(
        show=next((one for one in SHOWS if one == show), "open"),
        urgent=next((one for one in URGENTS if one == urgent), "any"),
        order=next((one for one in ORDERS if one == order), "urgency"),
        search=values.get("q", "").strip()[:100],
        after=values.get("after", "")[:200],
        limit=_limit(values.get("limit", "")),
    )


def _limit(text: str) -> int:
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else PAGE
    return min(max(asked, PAGE), LONGEST_PAGE)


def read_page(database: Database, query: Query) -> Page:
    """Read one page.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        where = _conditions(query)
        found = _ordered(select(Draft, Study).join(Study, Study.id == Draft.study_id).where(*where), query)
        rows = session.execute(found.limit(query.limit + 1)).all()
        some = select(Draft.id).where(*where).limit(COUNT_CAP).subquery()
        shown = [_row(draft, study) for draft, study in rows[: query.limit]]
        return Page(
            rows=shown,
            cursor=_cursor(shown[-1]) if len(rows) > query.limit else "",
            count=session.execute(select(func.count()).select_from(some)).scalar_one(),
            under_way=_under_way(session),
            now=database_now(session),
        )


def _conditions(query: Query) -> list[ColumnElement[bool]]:
    newer = aliased(Draft)
    outcomes = _OUTCOMES[query.show]
    where: list[ColumnElement[bool]] = [
        Draft.outcome == outcomes[0] if len(outcomes) == 1 else Draft.outcome.in_(outcomes),
        ~select(newer.id).where(newer.study_id == Draft.study_id, newer.id > Draft.id).exists(),
    ]
    if query.urgent != "any":
        where.append(Draft.urgency < (CRITICAL_BELOW if query.urgent == "critical" else ROUTINE))
    words = query.search.split()[:5]
    if words:
        matches = select(Study.id).where(*(_has(word) for word in words))
        where.append(Draft.study_id.in_(matches.order_by(Study.id.desc()).limit(SEARCH_CAP)))
    return where


def _has(word: str) -> ColumnElement[bool]:
    """Whether a word stands in a study's name, identifiers or description, in any case."""
    columns = (Study.patient_name, Study.patient_id, Study.accession_number, Study.study_description)
    return or_(*(column.icontains(word, autoescape=True) for column in columns))


def _ordered(statement: Select[Draft, Study], query: Query) -> Select[Draft, Study]:
    after = _position(query.after)
    if query.order == "urgency":
        if after is not None:
            urgency, at, number = after
            statement = statement.where(
                Draft.urgency >= urgency,
                or_(
                    Draft.urgency > urgency,
                    Draft.created_at > at,
                    and_(Draft.created_at == at, Draft.id > number),
                ),
            )
        # Of equally urgent drafts the one that has waited longest comes first.
        return statement.order_by(Draft.urgency, Draft.created_at, Draft.id)
    if query.order == "newest":
        if after is not None:
            _urgency, at, number = after
            statement = statement.where(Draft.created_at <= at, or_(Draft.created_at < at, Draft.id < number))
        return statement.order_by(Draft.created_at.desc(), Draft.id.desc())
    if after is not None:
        _urgency, at, number = after
        statement = statement.where(Draft.created_at >= at, or_(Draft.created_at > at, Draft.id > number))
    return statement.order_by(Draft.created_at, Draft.id)


def _cursor(row: Row) -> str:
    place = json.dumps([row.urgency, row.created_at.isoformat(), row.draft_id])
    return base64.urlsafe_b64encode(place.encode()).decode()


def _position(cursor: str) -> tuple[int, datetime, int] | None:
    """Return where a cursor stands; None for one that we did not make."""
    if not cursor:
        return None
    try:
        urgency, at, number = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(at)
        return (int(urgency), moment, int(number)) if moment.tzinfo is not None else None
    except (ValueError, TypeError, binascii.Error):
        return None


def _under_way(session: Session) -> int:
    count = 0
    for state in _UNDER_WAY:
        some = select(Job.id).where(Job.state == state).limit(COUNT_CAP).subquery()
        count += session.execute(select(func.count()).select_from(some)).scalar_one()
    return count


def _row(draft: Draft, study: Study) -> Row:
    return Row(
        study_id=study.id,
        draft_id=draft.id,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        patient_birth_date=study.patient_birth_date,
        accession_number=study.accession_number,
        study_date=study.study_date,
        study_time=study.study_time,
        study_description=study.study_description,
        revision=draft.revision,
        newer_images=study.revision > draft.revision,
        conflict=study.conflict,
        outcome=draft.outcome,
        urgency=draft.urgency,
        demonstration=draft.demonstration,
        content=draft.content,
        created_at=draft.created_at,
    )

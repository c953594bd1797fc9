"""The list: the newest draft of each study, filtered, in one of a few orders, one page at a time.

Drafts and studies are read for the rows of one page only (`agent.web.places` finds them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Draft, Job, Listing, ListingTag, Study, Verdict
from agent.reports import worklist_row as listing
from agent.web.claims import StudyClaim, claims_of
from agent.web.places import COUNT_CAP, places
from agent.web.query import Query, cursor_of

_UNDER_WAY = (JobState.RECEIVING.value, JobState.QUEUED.value, JobState.GENERATING.value)
# The time span of the verdicts whose median turnaround is shown.
_RECENT, _MOST_RECENT = timedelta(hours=24), 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One study with its newest draft, and who is reading it."""

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
    claim: StudyClaim | None

    @property
    def turnaround(self) -> timedelta | None:
        """The time from the first image to the verdict; None before a verdict."""
        return self.created_at - self.arrived_at if self.outcome in ("verified", "rejected") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the list; `count` is at most `COUNT_CAP`, `cursor` is empty on the last page.

    turnaround: median time from the first image to the verdict, over the verdicts of the last 24 hours.
    """

    rows: Sequence[Row]
    cursor: str
    count: int
    under_way: int
    turnaround: timedelta | None
    now: datetime


def read_page(database: Database, query: Query) -> Page:
    """Read one page; `count` counts from the cursor on.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        found = places(session, query)
        shown = found[: query.limit]
        now = database_now(session)
        return Page(
            rows=_rows(session, [int(place[-1]) for place in shown], now),  # type: ignore[arg-type]
            cursor=cursor_of(shown[-1]) if len(found) > len(shown) else "",
            count=min(len(found), COUNT_CAP),
            under_way=_under_way(session),
            turnaround=None if query.after else _turnaround(session, now),
            now=now,
        )


def _rows(session: Session, study_ids: Sequence[int], now: datetime) -> list[Row]:
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
    claims = claims_of(session, study_ids, now)
    rows = {
        line.study_id: _row(draft, study, claims.get(study.id), late=study.id in late)
        for line, draft, study in found
    }
    return [rows[number] for number in study_ids if number in rows]


def _under_way(session: Session) -> int:
    count = 0
    for state in _UNDER_WAY:
        some = select(Job.id).where(Job.state == state, Job.lane != Lane.BACKFILL.value)
        within = some.limit(COUNT_CAP).subquery()
        count += session.execute(select(func.count()).select_from(within)).scalar_one()
    return count


def _turnaround(session: Session, now: datetime) -> timedelta | None:
    recent = session.execute(
        select(Verdict.at, Study.first_received_at)
        .join(Study, Study.id == Verdict.study_id)
        .where(Verdict.at > now - _RECENT)
        .order_by(Verdict.at.desc())
        .limit(_MOST_RECENT)
    ).all()
    if not recent:
        return None
    return timedelta(seconds=median((judged - arrived).total_seconds() for judged, arrived in recent))


def _row(draft: Draft, study: Study, claim: StudyClaim | None, *, late: bool) -> Row:
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
        claim=claim,
    )

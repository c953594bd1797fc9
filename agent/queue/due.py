"""The due jobs in the order of `agent.queue.turns`, locked for one claimer, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.site_backlogs import SiteBacklog, read_site_backlogs
from agent.database.states import JobState, Lane
from agent.database.tables import Job, LaneTurn, Study
from agent.queue.turns import Turn, next_lines, take_turns

# Claimers that choose between sites do so one at a time, under this advisory lock.
_TURNS_LOCK = 0x4C414E45
_QUEUED = JobState.QUEUED.value


def next_due(
    session: Session,
    now: datetime,
    limit: int,
    weights: Mapping[str, float],
    passed_over: set[tuple[Lane, str]],
    *,
    yielding: int,
) -> list[tuple[Job, str]]:
    """Lock at most `limit` due jobs of one lane; return each with its Study Instance UID, in order.

    The caller takes them all, and asks again for the rest of its limit: an empty answer means that nothing
    is due. passed_over: lines whose jobs others hold; they are left out, and added to. yielding: the limit
    for a lane that yields; without any room for them such lanes are left out.
    """
    while True:
        lines = _open_lines(session, now, passed_over, yielding)
        if not lines:
            return []
        chosen = next_lines(lines)
        lane = chosen[0].lane
        if len({one.site for one in lines if one.lane is lane}) == 1:
            # Only one site: no turns, and several claimers need not wait for each other.
            rows = _locked(session, now, lane, chosen[0].site, _limit_of(lane, limit, yielding))
        else:
            rows = _by_turns(session, now, limit, weights, passed_over, yielding)
        if rows:
            return rows
        passed_over.update((one.lane, one.site) for one in chosen)


def _open_lines(
    session: Session, now: datetime, passed_over: set[tuple[Lane, str]], yielding: int
) -> list[SiteBacklog]:
    return [
        one
        for one in read_site_backlogs(session, now)
        if (one.lane, one.site) not in passed_over and (yielding > 0 or not one.lane.yields)
    ]


def _limit_of(lane: Lane, limit: int, yielding: int) -> int:
    return min(limit, yielding) if lane.yields else limit


def _by_turns(
    session: Session,
    now: datetime,
    limit: int,
    weights: Mapping[str, float],
    passed_over: set[tuple[Lane, str]],
    yielding: int,
) -> list[tuple[Job, str]]:
    if session.get_bind().dialect.name != "sqlite":
        session.execute(select(func.pg_advisory_xact_lock(_TURNS_LOCK)))
    # What the previous claimer has taken is visible now.
    lines = _open_lines(session, now, passed_over, yielding)
    chosen = next_lines(lines)
    if not chosen:
        return []
    lane, priority = chosen[0].lane, chosen[0].priority
    known = session.scalars(select(LaneTurn).where(LaneTurn.lane == lane.value)).all()
    turns = take_turns(
        chosen, {one.site: one.served for one in known}, weights, _limit_of(lane, limit, yielding)
    )
    found = {
        site: iter(_locked(session, now, lane, site, count, priority=priority))
        for site, count in Counter(turn.site for turn in turns).items()
    }
    taken: list[tuple[Job, str]] = []
    used: dict[str, Turn] = {}
    for turn in turns:
        if (row := next(found[turn.site], None)) is not None:
            taken.append(row)
            used[turn.site] = turn
    rows = {one.site: one for one in known}
    for site, turn in used.items():
        if site in rows:
            rows[site].served = turn.start
        else:
            session.add(LaneTurn(lane=lane.value, site=site, served=turn.start))
    return taken


def _locked(
    session: Session, now: datetime, lane: Lane, site: str, limit: int, *, priority: int | None = None
) -> list[tuple[Job, str]]:
    due = (
        select(Job, Study.study_instance_uid)
        .join(Study, Study.id == Job.study_id)
        .where(Job.state == _QUEUED, Job.lane == lane.value, Job.site == site, Job.run_after <= now)
        .order_by(Job.priority, Job.run_after, Job.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Job)
    )
    if priority is not None:
        due = due.where(Job.priority == priority)
    return [(job, uid) for job, uid in session.execute(due).all()]

"""Claims by lane and site, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from agent.database.session import Database, database_now
from agent.database.states import JobState, Lane
from agent.database.tables import Job, Study
from agent.queue import jobs, operator
from agent.queue.states import move

pytestmark = pytest.mark.integration


def fill(database: Database, lane: Lane, site: str, count: int, *, priority: int = 50) -> list[int]:
    """Queue jobs of one site in one lane; return their ids, oldest first."""
    with database.transaction() as session:
        now, ids = database_now(session), []
        known = session.scalar(select(func.count()).select_from(Study)) or 0
        for number in range(known, known + count):
            study = Study(
                study_instance_uid=f"1.2.{number}", site=site, first_received_at=now, last_received_at=now
            )
            session.add(study)
            session.flush()
            job = jobs.enqueue(session, study, now=now, revision=1, lane=lane, priority=priority)
            assert job is not None
            move(session, job, JobState.QUEUED, now=now, admitted=True)
            ids.append(job.id)
        return ids


def drain(database: Database, room: int, weights: dict[str, float] | None = None) -> list[jobs.Claim]:
    """Claim `room` jobs at a time until nothing is due."""
    claims: list[jobs.Claim] = []
    while found := jobs.claim(database, "w", 60, room, weights=weights):
        claims.extend(found)
    return claims


@pytest.mark.parametrize("room", [1, 4, 50])
def test_claim_serves_the_lanes_in_order(both_databases: Database, room: int) -> None:
    """STAT, routine, shadow, backfill: in any order of arrival, and with any number claimed at once."""
    for lane in reversed(Lane):
        fill(both_databases, lane, "north", 3, priority=0 if lane is Lane.STAT else 50)
        fill(both_databases, lane, "south", 2, priority=0 if lane is Lane.STAT else 50)
    order = [claim.lane for claim in drain(both_databases, room)]
    assert order == [lane for lane in Lane for _ in range(5)]


@pytest.mark.parametrize("room", [1, 5])
def test_claim_lets_sites_take_turns(both_databases: Database, room: int) -> None:
    """A site with few studies does not wait for hundreds of another's; each site's own stay in order."""
    large = fill(both_databases, Lane.ROUTINE, "large", 40)
    small = fill(both_databases, Lane.ROUTINE, "small", 5)
    claims = drain(both_databases, room)
    assert {claim.site for claim in claims[:2]} == {"large", "small"}
    assert max(index for index, claim in enumerate(claims) if claim.site == "small") <= 10
    assert [claim.job_id for claim in claims if claim.site == "large"] == large
    assert [claim.job_id for claim in claims if claim.site == "small"] == small


def test_claim_divides_by_weight(both_databases: Database) -> None:
    """A site of weight 3 gets three drafts for each one of the others, with claims of any size."""
    for site in ("a", "b", ""):
        fill(both_databases, Lane.BACKFILL, site, 30)
    claims = []
    for room in (1, 4, 2, 3, 7, 1, 2, 5):
        claims.extend(jobs.claim(both_databases, "w", 60, room, weights={"a": 3.0}))
    counts = Counter(claim.site for claim in claims)
    assert counts["a"] == pytest.approx(15, abs=1)
    assert counts["b"] == pytest.approx(5, abs=1)
    assert counts[""] == pytest.approx(5, abs=1)


def test_claim_keeps_a_priority_before_the_turns(both_databases: Database) -> None:
    """Within a lane a smaller priority number goes first, from whichever site."""
    fill(both_databases, Lane.ROUTINE, "a", 3)
    urgent = fill(both_databases, Lane.ROUTINE, "b", 3, priority=10)
    assert [claim.job_id for claim in jobs.claim(both_databases, "w", 60, 4)][:3] == urgent


def test_prioritised_backfill_goes_first(both_databases: Database) -> None:
    """An archived study that a person asks for as STAT goes before routine studies."""
    fill(both_databases, Lane.ROUTINE, "", 2)
    wanted = fill(both_databases, Lane.BACKFILL, "", 3)[2]
    operator.prioritise(both_databases, wanted, 0)
    (claim,) = jobs.claim(both_databases, "w", 60, 1)
    assert (claim.job_id, claim.lane) == (wanted, Lane.STAT)


def test_claim_by_many_claimers_takes_each_job_once(both_databases: Database) -> None:
    """Concurrent claimers, over lanes and sites, claim each job exactly once and leave none."""
    expected = [
        job
        for lane in (Lane.ROUTINE, Lane.BACKFILL)
        for site in ("a", "b", "c")
        for job in fill(both_databases, lane, site, 12)
    ]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: drain(both_databases, 2), range(6)))
    claimed = sorted(claim.job_id for claims in found for claim in claims)
    # A claimer that found every row locked stops early; a later claim takes those rows.
    claimed += [claim.job_id for claim in drain(both_databases, 9)]
    assert sorted(claimed) == sorted(expected)
    with both_databases.reading() as session:
        assert session.scalar(select(func.count()).where(Job.state == JobState.QUEUED.value)) == 0


def test_claim_leaves_places_free_for_jobs_that_do_not_yield(both_databases: Database) -> None:
    """Beyond the room for backfill and shadow studies places stay empty; urgent jobs may use them all."""
    for lane in (Lane.BACKFILL, Lane.SHADOW, Lane.BACKFILL, Lane.ROUTINE):
        for site in ("north", "south") if lane is Lane.BACKFILL else ("north",):
            fill(both_databases, lane, site, 1)
    taken = [
        [one.lane for one in jobs.claim(both_databases, "w", 60, 3, most_yielding=most)] for most in (1, 0, 2)
    ]
    assert taken == [[Lane.ROUTINE, Lane.SHADOW], [], [Lane.BACKFILL, Lane.BACKFILL]]

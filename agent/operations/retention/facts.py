"""The facts on studies whose image files are still stored, in the order of their arrival."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from agent.database.states import ENDED, DeliveryState, JobState
from agent.database.tables import Delivery, Draft, Instance, Job, PriorLink, Quarantined, Study
from agent.operations.retention.rules import RetentionFacts


def next_studies(session: Session, after_id: int, limit: int) -> list[int]:
    """Return the ids of the next studies with a stored file, oldest first."""
    rows = session.scalars(
        select(Instance.study_id)
        .where(Instance.purged_at.is_(None), Instance.study_id > after_id)
        .distinct()
        .order_by(Instance.study_id)
        .limit(limit)
    )
    return list(rows)


def read_facts(session: Session, study_ids: Sequence[int]) -> list[RetentionFacts]:
    """Return the facts of these studies, in the order of their ids; a few queries for all of them."""
    files = _files(session, study_ids)
    jobs = _jobs(session, study_ids)
    deliveries = _deliveries(session, study_ids)
    drafts = _drafts(session, study_ids)
    quarantined = _quarantined(session, study_ids)
    needed = _needed(session, study_ids)
    studies = session.scalars(select(Study).where(Study.id.in_(study_ids)).order_by(Study.id))
    return [
        RetentionFacts(
            study_id=study.id,
            study_instance_uid=study.study_instance_uid,
            prior=study.prior,
            conflict=study.conflict,
            quarantined=study.id in quarantined,
            files=files[study.id][0],
            size_bytes=files[study.id][1],
            jobs=tuple(state for state, _ in jobs[study.id]),
            deliveries=tuple((name, state) for name, state, _ in deliveries[study.id]),
            last_step_at=max(
                [
                    study.last_received_at,
                    *(at for _, at in jobs[study.id]),
                    *(at for _, _, at in deliveries[study.id]),
                    *(at for _, at in drafts[study.id]),
                ]
            ),
            drafted_at=_unjudged_since(drafts[study.id]),
            needed=study.id in needed,
        )
        for study in studies
        if study.id in files
    ]


def _files(session: Session, study_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    rows = session.execute(
        select(Instance.study_id, func.count(), func.sum(Instance.size_bytes))
        .where(Instance.study_id.in_(study_ids), Instance.purged_at.is_(None))
        .group_by(Instance.study_id)
    )
    return {study_id: (count, int(size)) for study_id, count, size in rows}


def _jobs(session: Session, study_ids: Sequence[int]) -> dict[int, list[tuple[JobState, datetime]]]:
    rows = session.execute(
        select(Job.study_id, Job.state, Job.updated_at).where(Job.study_id.in_(study_ids)).order_by(Job.id)
    )
    found: dict[int, list[tuple[JobState, datetime]]] = defaultdict(list)
    for study_id, state, at in rows:
        found[study_id].append((JobState(state), at))
    return found


def _deliveries(
    session: Session, study_ids: Sequence[int]
) -> dict[int, list[tuple[str, DeliveryState, datetime]]]:
    rows = session.execute(
        select(Job.study_id, Delivery.destination, Delivery.state, Delivery.updated_at)
        .join(Job, Job.id == Delivery.job_id)
        .where(Job.study_id.in_(study_ids))
        .order_by(Delivery.id)
    )
    found: dict[int, list[tuple[str, DeliveryState, datetime]]] = defaultdict(list)
    for study_id, destination, state, at in rows:
        found[study_id].append((destination, DeliveryState(state), at))
    return found


def _drafts(session: Session, study_ids: Sequence[int]) -> dict[int, list[tuple[str, datetime]]]:
    rows = session.execute(
        select(Draft.study_id, Draft.outcome, Draft.created_at)
        .where(Draft.study_id.in_(study_ids))
        .order_by(Draft.id)
    )
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for study_id, outcome, at in rows:
        found[study_id].append((outcome, at))
    return found


def _unjudged_since(drafts: Sequence[tuple[str, datetime]]) -> datetime | None:
    """Return the time of the latest draft, unless a verdict or a notice followed it."""
    if not drafts or drafts[-1][0] != "drafted":
        return None
    return drafts[-1][1]


def _quarantined(session: Session, study_ids: Sequence[int]) -> frozenset[int]:
    rows = session.scalars(
        select(Instance.study_id)
        .join(Quarantined, Quarantined.sha256 == Instance.sha256)
        .where(Instance.study_id.in_(study_ids), Quarantined.purged_at.is_(None))
    )
    return frozenset(rows)


def _needed(session: Session, study_ids: Sequence[int]) -> frozenset[int]:
    """Return the earlier studies of jobs that have not ended, and of studies that still have files.

    The second applies only to studies that are nothing but earlier studies; a study with a draft of its own
    is purged by its own age.
    """
    held = aliased(Instance)
    unfinished = Job.state.not_in([state.value for state in ENDED])
    still_here = exists().where(
        held.study_id == PriorLink.study_id, held.purged_at.is_(None), held.prior.is_(False)
    )
    rows = session.scalars(
        select(PriorLink.prior_id)
        .join(Job, Job.id == PriorLink.job_id)
        .join(Study, Study.id == PriorLink.prior_id)
        .where(PriorLink.prior_id.in_(study_ids), unfinished | (Study.prior & still_here))
    )
    return frozenset(rows)

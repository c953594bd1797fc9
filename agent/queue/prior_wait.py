"""The wait of a queued job for its patient's earlier studies."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from agent.database.tables import Job, PriorSearch
from agent.foundation.settings.tree import PriorSettings
from agent.objects.header import STAT_PRIORITY


def begin_search(session: Session, job: Job, settings: PriorSettings, now: datetime) -> None:
    """Let a job that has just been queued wait for its earlier studies, at most for the time budget.

    `agent.retrieve.priors.fetch` carries out the search and ends the wait early.
    """
    if not settings.enabled:
        return
    stat = job.priority == STAT_PRIORITY
    budget_s = settings.stat_time_budget_s if stat else settings.time_budget_s
    deadline = now + timedelta(seconds=budget_s)
    search = session.get(PriorSearch, job.id)
    if search is None:
        session.add(PriorSearch(job_id=job.id, deadline=deadline))
        job.run_after = deadline

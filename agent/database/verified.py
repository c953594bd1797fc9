"""The verified report of a study that is still valid."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.tables import Draft, Verdict


def verified_report(session: Session, study_id: int) -> Draft | None:
    """Return the newest verified report of a study that is still valid; None where there is none.

    Of several verdicts on one draft the last one counts: a report that was rejected after its verification is
    no longer valid. Neither is one that was withdrawn because it names another patient. The rejection of a
    later draft leaves the report valid.
    """
    last = (
        select(func.max(Verdict.id).label("id"))
        .where(Verdict.study_id == study_id)
        .group_by(Verdict.draft_id)
        .subquery()
    )
    return session.scalars(
        select(Draft)
        .join(Verdict, Verdict.result_id == Draft.id)
        .join(last, last.c.id == Verdict.id)
        .where(Draft.outcome == "verified", Draft.withdrawal.is_(None))
        .order_by(Draft.id.desc())
        .limit(1)
    ).first()

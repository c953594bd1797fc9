"""The verified report of a study that is still valid."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from agent.database.tables import Draft, Verdict


def verified_report(session: Session, study_id: int) -> Draft | None:
    """Return the newest verified report of a study that is still valid, or None.

    Of several verdicts on one draft the last one counts: a report that was rejected after its verification is
    no longer valid. Neither is one that was withdrawn because it names another patient. The rejection of a
    later draft leaves the report valid.
    """
    own, later = aliased(Verdict), aliased(Verdict)
    overruled = (
        select(own.id)
        .join(later, (later.draft_id == own.draft_id) & (later.id > own.id))
        .where(own.result_id == Draft.id)
    )
    return session.scalars(
        select(Draft)
        .where(
            Draft.study_id == study_id,
            Draft.outcome == "verified",
            Draft.withdrawal.is_(None),
            ~overruled.exists(),
        )
        .order_by(Draft.id.desc())
        .limit(1)
    ).first()

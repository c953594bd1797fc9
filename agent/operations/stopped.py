"""Which stopped jobs need a person: a job whose study was corrected or sent again meanwhile needs nobody."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import aliased

from agent.database.tables import Draft, Job


def needs_a_person() -> ColumnElement[bool]:
    """Return the condition on a FAILED or DEAD job under which a person has to act on it.

    The gate drafts only the newest revision of a study. A job of an older one that has no draft can neither
    be drafted nor sent: the job of the newest revision shows how the study is.
    """
    later = aliased(Job)
    replaced = exists().where(
        later.study_id == Job.study_id, later.kind == Job.kind, later.revision > Job.revision
    )
    return or_(~replaced, exists().where(Draft.job_id == Job.id))

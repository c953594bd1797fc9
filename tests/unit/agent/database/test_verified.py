"""Which verified report of a study is still valid."""

from __future__ import annotations

from itertools import count

import pytest

from agent.database.session import Database
from agent.database.tables import Draft, Verdict
from agent.database.verified import verified_report
from tests.unit.agent.rows import add_job, add_study, now_of


@pytest.mark.parametrize(
    ("steps", "valid"),
    [
        ([], None),
        ([("first", "accepted")], "first accepted"),
        ([("first", "accepted"), ("first", "changed")], "first changed"),
        ([("first", "accepted"), ("first", "rejected")], None),
        ([("first", "rejected"), ("first", "accepted")], "first accepted"),
        ([("first", "accepted"), ("second", "rejected")], "first accepted"),
        ([("first", "accepted"), ("second", "changed")], "second changed"),
        ([("first", "accepted"), ("second", "changed"), ("second", "rejected")], "first accepted"),
        ([("first", "withdrawn")], None),
    ],
)
def test_verified_report_is_the_last_that_was_not_taken_back(
    database: Database, steps: list[tuple[str, str]], valid: str | None
) -> None:
    """The last verdict on a draft counts; rejecting a later draft leaves the verified report valid."""
    with database.transaction() as session:
        at = now_of(database)
        study = add_study(session, "1.2.1", at=at)

        revisions = count(1)

        def written() -> Draft:
            revision = next(revisions)
            job = add_job(session, study, "DELIVERED", at=at)
            job.idempotency_key = f"draft|{revision}"
            draft = Draft(
                study_id=study.id,
                job_id=job.id,
                revision=revision,
                model_digest="d",
                model_name="m",
                demonstration=True,
                text="",
                content={},
                waited_s=0,
                created_at=at,
            )
            session.add(draft)
            session.flush()
            return draft

        drafts = {name: written() for name in ("first", "second")}
        for name, kind in steps:
            result = written()
            result.outcome = "rejected" if kind == "rejected" else "verified"
            result.text = f"{name} {kind}"
            result.withdrawal = "done" if kind == "withdrawn" else None
            session.add(
                Verdict(
                    study_id=study.id,
                    draft_id=drafts[name].id,
                    result_id=result.id,
                    kind="accepted" if kind == "withdrawn" else kind,
                    reason="",
                    observer_name="Roe^Rod",
                    at=at,
                    edited_words=0,
                    draft_words=1,
                    agreement={},
                )
            )
        session.flush()
        report = verified_report(session, study.id)
        assert (None if report is None else report.text) == valid

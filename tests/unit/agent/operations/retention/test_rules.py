"""Which studies' files go, and what keeps them: needed files stay, whatever their age and the free space."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from agent.database.states import DeliveryState, JobState
from agent.foundation.settings.retention import RetentionSettings
from agent.foundation.settings.tree import Settings
from agent.operations.retention.rules import PURGES, WORDS, Reason, RetentionFacts, Rules, judge

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
J, D = JobState, DeliveryState


def study(days: float = 100, **values: Any) -> RetentionFacts:
    """A study that was delivered and committed `days` ago, unless `values` override it."""
    given: dict[str, Any] = {
        "study_id": 1,
        "study_instance_uid": "1.2.3",
        "prior": False,
        "conflict": None,
        "quarantined": False,
        "files": 2,
        "size_bytes": 20_000_000,
        "jobs": (J.DELIVERED,),
        "deliveries": (("pacs", D.COMMITTED), ("pacs", D.COMMITTED)),
        "last_step_at": NOW - timedelta(days=days),
        "drafted_at": NOW - timedelta(days=days),
        "needed": False,
    }
    return RetentionFacts(**(given | values))


def decide(
    facts: RetentionFacts, *, committing: str = "pacs", short: bool = False, **settings: Any
) -> Reason:
    """The decision with these settings; studies are kept for 30 days unless they say otherwise."""
    older_than = settings.pop("older_than", None)
    rules = Rules(
        settings=RetentionSettings(**({"keep_days": 30} | settings)),
        committing=frozenset({committing}),
        older_than=older_than,
        short_of_space=short,
    )
    return judge(facts, rules, NOW)


def test_committed_study_goes_after_its_time() -> None:
    """A study never goes a moment sooner."""
    assert (decide(study(31)), decide(study(29))) == (Reason.OLD, Reason.TOO_YOUNG)


def test_nothing_goes_by_default() -> None:
    """A study goes only if a setting says so."""
    assert decide(study(1000), keep_days=None) is Reason.NO_RULE


def test_full_disk_takes_committed_studies_that_are_a_day_old() -> None:
    """The minimum age applies here too."""
    assert decide(study(2), short=True) is Reason.SPACE
    assert decide(study(0.5), short=True) is Reason.TOO_YOUNG
    assert decide(study(0.5), short=True, minimum_age_hours=6) is Reason.SPACE


KEPT = {
    "receiving": (study(jobs=(J.RECEIVING,)), Reason.UNFINISHED),
    "queued": (study(jobs=(J.DELIVERED, J.QUEUED)), Reason.UNFINISHED),
    "generating": (study(jobs=(J.GENERATING,)), Reason.UNFINISHED),
    "delivering": (study(jobs=(J.DELIVERING,)), Reason.UNFINISHED),
    "drafted": (study(jobs=(J.DRAFTED,)), Reason.UNFINISHED),
    "no job": (study(jobs=()), Reason.UNFINISHED),
    "pending": (study(deliveries=(("pacs", D.COMMITTED), ("other", D.PENDING))), Reason.UNFINISHED),
    "notice": (study(jobs=(J.SKIPPED,), deliveries=(("pacs", D.SENDING),)), Reason.UNFINISHED),
    "failed": (study(jobs=(J.FAILED,)), Reason.STOPPED),
    "dead": (study(jobs=(J.DELIVERED, J.DEAD)), Reason.STOPPED),
    "conflict": (study(conflict="instance-conflict"), Reason.CONFLICT),
    "quarantine": (study(quarantined=True), Reason.QUARANTINE),
    "comparison": (study(prior=True, jobs=(), deliveries=(), needed=True), Reason.COMPARISON),
    "earlier study of one in work": (study(needed=True), Reason.COMPARISON),
    "stored": (study(deliveries=(("pacs", D.COMMITTED), ("pacs", D.STORED))), Reason.NOT_COMMITTED),
    "uncommitted": (study(deliveries=(("other", D.UNCOMMITTED),)), Reason.NOT_COMMITTED),
    "stored elsewhere": (study(deliveries=(("other", D.STORED),)), Reason.STORED_ONLY),
    "nowhere": (study(jobs=(J.DRAFTED,), deliveries=()), Reason.NOT_DELIVERED),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_needed_stays(name: str) -> None:
    """Neither age, nor free space, nor a command removes it."""
    facts, reason = KEPT[name]
    asked = timedelta(days=1)
    assert {decide(facts), decide(facts, short=True), decide(facts, older_than=asked)} == {reason}


def test_stored_is_enough_only_where_the_administrator_says_so() -> None:
    """For destinations that support commitment, stored is never enough, whatever the setting is."""
    stored = study(deliveries=(("other", D.STORED),))
    asked = study(deliveries=(("pacs", D.STORED),))
    lost = study(deliveries=(("other", D.UNCOMMITTED),))
    nowhere = study(jobs=(J.DRAFTED,), deliveries=())
    found = [decide(one, without_commitment=True) for one in (stored, asked, lost, nowhere)]
    assert found == [Reason.OLD, Reason.NOT_COMMITTED, Reason.NOT_COMMITTED, Reason.OLD]


@pytest.mark.parametrize("jobs", [(J.SKIPPED,), (J.CANCELED, J.SKIPPED)])
def test_skipped_and_canceled_studies_have_an_age_of_their_own(jobs: tuple[JobState, ...]) -> None:
    """They were not delivered and need no commitment."""
    facts = study(10, jobs=jobs, deliveries=())
    assert decide(facts) is Reason.NO_RULE
    assert decide(facts, skipped_keep_days=7) is Reason.OLD
    assert decide(facts, skipped_keep_days=14) is Reason.TOO_YOUNG
    assert decide(facts, short=True) is Reason.SPACE


def test_stopped_studies_go_only_by_their_own_setting() -> None:
    """A person should check them; neither a full disk nor a command overrides that."""
    facts = study(10, jobs=(J.FAILED,), deliveries=())
    assert decide(facts, failed_keep_days=7) is Reason.OLD
    assert decide(facts, failed_keep_days=14) is Reason.TOO_YOUNG
    assert decide(facts, failed_keep_days=14, short=True) is Reason.TOO_YOUNG
    assert decide(facts, failed_keep_days=14, older_than=timedelta(days=1)) is Reason.TOO_YOUNG


def test_superseded_job_does_not_keep_its_study() -> None:
    """A canceled revision does not matter once another one was delivered."""
    assert decide(study(jobs=(J.CANCELED, J.DELIVERED))) is Reason.OLD


def test_unjudged_draft_stays_in_its_window() -> None:
    """Only the setting keeps a draft without a verdict: until its window ends, even on a full disk."""
    judged = study(40, drafted_at=None)
    assert [decide(one, unjudged_keep_days=90) for one in (study(40), judged, study(91))] == [
        Reason.UNJUDGED,
        Reason.OLD,
        Reason.OLD,
    ]
    assert decide(study(40), unjudged_keep_days=90, short=True) is Reason.UNJUDGED
    assert [decide(study(40)), decide(judged)] == [Reason.OLD, Reason.OLD]


def test_earlier_study_goes_when_nothing_is_compared_with_it() -> None:
    """It is a copy of a study in the archive."""
    facts = study(2, prior=True, jobs=(), deliveries=())
    assert decide(facts) is Reason.OLD
    assert decide(facts, keep_days=None) is Reason.NO_RULE
    assert decide(facts, keep_days=None, short=True) is Reason.SPACE


def test_asked_age_stands_instead_of_the_settings() -> None:
    """The age that a command states applies down to the minimum age."""
    asked = {"keep_days": None, "older_than": timedelta(days=5)}
    assert decide(study(6), **asked) is Reason.OLD
    assert decide(study(4), **asked) is Reason.TOO_YOUNG
    assert decide(study(0.5), keep_days=None, older_than=timedelta(0)) is Reason.TOO_YOUNG


def test_every_reason_has_words() -> None:
    """The table of studies explains each line."""
    assert set(WORDS) == set(Reason)
    assert set(Reason) > PURGES


@pytest.mark.parametrize(
    ("storage", "words"),
    [({"min_free_mb": 5000}, "must be above"), ({"url": "s3://bucket/echo"}, "a bucket")],
)
def test_space_that_cannot_help_is_a_settings_error(storage: dict[str, Any], words: str) -> None:
    """Below the senders' limit the purge would come too late; a bucket has no free space to measure."""
    with pytest.raises(ValidationError, match=words):
        Settings(storage=storage, retention={"free_space_mb": 5000})
    assert Settings(storage={"min_free_mb": 4999}, retention={"free_space_mb": 5000}).retention.purges

"""Which studies' image files may be purged, and why or why not. Pure.

A study that the archive has committed to may be purged; one that is unfinished, undelivered, in conflict or
still needed is kept, whatever its age and however full the disk is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent.database.states import ENDED, UNSENT, DeliveryState, JobState
from agent.foundation.settings.retention import RetentionSettings


class Reason(StrEnum):
    """Why a study's files are purged or kept."""

    OLD = "old"
    SPACE = "space"
    TOO_YOUNG = "too-young"
    NO_RULE = "no-rule"
    UNFINISHED = "unfinished"
    STOPPED = "stopped"
    CONFLICT = "conflict"
    QUARANTINE = "quarantine"
    COMPARISON = "comparison"
    UNJUDGED = "unjudged"
    NOT_COMMITTED = "not-committed"
    STORED_ONLY = "stored-only"
    NOT_DELIVERED = "not-delivered"


# The text for each reason in the table of `purge`.
WORDS = {
    Reason.OLD: "older than the retention time",
    Reason.SPACE: "the disk is short of space",
    Reason.TOO_YOUNG: "not old enough yet",
    Reason.NO_RULE: "no setting of `retention` purges studies like this",
    Reason.UNFINISHED: "it has an unfinished draft or delivery",
    Reason.STOPPED: "FAILED or DEAD: needs a person's attention (`retention.failed_keep_days`)",
    Reason.CONFLICT: "it has a conflict: needs a person's attention",
    Reason.QUARANTINE: "one of its files is in quarantine",
    Reason.COMPARISON: "studies that it is compared with are still here",
    Reason.UNJUDGED: "no radiologist has reviewed it yet (`retention.unjudged_keep_days`)",
    Reason.NOT_COMMITTED: "a destination has not committed to a document yet",
    Reason.STORED_ONLY: "stored without commitment (`retention.without_commitment`)",
    Reason.NOT_DELIVERED: "its draft was delivered nowhere (`retention.without_commitment`)",
}
PURGES = frozenset({Reason.OLD, Reason.SPACE})
_STOPPED = frozenset({JobState.FAILED, JobState.DEAD})
_WITHOUT_DRAFT = frozenset({JobState.SKIPPED, JobState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionFacts:
    """The facts on a study whose files are still stored.

    jobs: the state of each job; deliveries: destination and state of each document's delivery.
    last_step_at: the latest of its images, steps, drafts and deliveries.
    drafted_at: the time of the latest draft that nobody has reviewed; None if there is none.
    needed: it is an earlier study of one that is not finished (or, if only that, that still has files).
    """

    study_id: int
    study_instance_uid: str
    prior: bool
    conflict: str | None
    quarantined: bool
    files: int
    size_bytes: int
    jobs: Sequence[JobState]
    deliveries: Sequence[tuple[str, DeliveryState]]
    last_step_at: datetime
    drafted_at: datetime | None
    needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings, the destinations that commit, and a person's request. older_than: replaces the settings'
    ages, for all but stopped studies; short_of_space: purge the oldest.
    """

    settings: RetentionSettings
    committing: frozenset[str]
    older_than: timedelta | None = None
    short_of_space: bool = False

    @property
    def minimum_age(self) -> timedelta:
        """The age below which nothing is purged."""
        return timedelta(hours=self.settings.minimum_age_hours)


def judge(facts: RetentionFacts, rules: Rules, now: datetime) -> Reason:
    """Return why a study's files are purged (one of `PURGES`) or kept."""
    keeps = _keeps(facts, rules, now)
    if keeps is not None:
        return keeps
    age = now - facts.last_step_at
    limit = _limit(facts, rules)
    if limit is not None and age >= max(limit, rules.minimum_age):
        return Reason.OLD
    stopped = any(state in _STOPPED for state in facts.jobs)
    if rules.short_of_space and not stopped:
        return Reason.SPACE if age >= rules.minimum_age else Reason.TOO_YOUNG
    return Reason.NO_RULE if limit is None else Reason.TOO_YOUNG


def _keeps(facts: RetentionFacts, rules: Rules, now: datetime) -> Reason | None:
    """Return the reason that forbids a purge at any age, if any."""
    if facts.conflict is not None:
        return Reason.CONFLICT
    if facts.quarantined:
        return Reason.QUARANTINE
    if facts.needed:
        return Reason.COMPARISON
    if facts.prior:
        return None  # a copy: the archive has it
    if not facts.jobs or any(state in UNSENT for _, state in facts.deliveries):
        return Reason.UNFINISHED
    # A draft without any destination stays DRAFTED.
    resting = ENDED if facts.deliveries else ENDED | {JobState.DRAFTED}
    if any(state not in resting for state in facts.jobs):
        return Reason.UNFINISHED
    if any(state in _STOPPED for state in facts.jobs):
        return None if rules.settings.failed_keep_days is not None else Reason.STOPPED
    if all(state in _WITHOUT_DRAFT for state in facts.jobs):
        return None
    return _undelivered(facts, rules) or _unjudged(facts, rules, now)


def _undelivered(facts: RetentionFacts, rules: Rules) -> Reason | None:
    """Return why it is not certain that every destination holds every document, if so."""
    for destination, state in facts.deliveries:
        if state is DeliveryState.UNCOMMITTED:
            return Reason.NOT_COMMITTED
        if state is DeliveryState.STORED and destination in rules.committing:
            return Reason.NOT_COMMITTED
    if rules.settings.without_commitment:
        return None
    if any(state is DeliveryState.STORED for _, state in facts.deliveries):
        return Reason.STORED_ONLY
    held = any(state is DeliveryState.COMMITTED for _, state in facts.deliveries)
    return None if held else Reason.NOT_DELIVERED


def _unjudged(facts: RetentionFacts, rules: Rules, now: datetime) -> Reason | None:
    days = rules.settings.unjudged_keep_days
    if days is None or facts.drafted_at is None or now - facts.drafted_at >= timedelta(days=days):
        return None
    return Reason.UNJUDGED


def _limit(facts: RetentionFacts, rules: Rules) -> timedelta | None:
    """Return the age at which a study like this is purged; None for never."""
    settings = rules.settings
    if any(state in _STOPPED for state in facts.jobs):
        return _days(settings.failed_keep_days)
    if rules.older_than is not None:
        return rules.older_than
    if facts.prior:
        # No study that is compared with it is stored any more.
        return rules.minimum_age if settings.purges else None
    if all(state in _WITHOUT_DRAFT for state in facts.jobs):
        return _days(settings.skipped_keep_days)
    return _days(settings.keep_days)


def _days(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)

"""Evaluates a status: what is wrong, how severe it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from agent.database.states import DeliveryState, JobState
from agent.foundation.counted import counted
from agent.foundation.settings.tree import Settings
from agent.operations.refusal_advice import refusal_advice, wanted
from agent.operations.status import ServiceStatus


class Level(IntEnum):
    """The exit code of `echo-agent status`, by the Nagios convention."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


# A queue whose oldest job is older than this (s) has stopped or is too slow.
QUEUE_WARNING_S = 600.0
WAITING_WARNING_S = 600.0
NEEDED_ROLES = {
    "listener": "no listener is running: nothing can be received; start `echo-agent listen` (or `serve`)",
    "worker": "no worker is running: nothing is drafted; start `echo-agent work` (or `serve`)",
    "deliverer": "no deliverer is running: drafts are not sent; start `echo-agent deliver` (or `serve`)",
    "housekeeping": "the housekeeping process is not running: no study is completed; "
    "start `echo-agent housekeep`, or set `listener.housekeeping: true`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that needs attention; the text says what to do."""

    level: Level
    code: str
    text: str


def judge(status: ServiceStatus, settings: Settings) -> tuple[Problem, ...]:
    """Return the problems, the most severe first."""
    problems = [
        *_processes(status, settings),
        *_disk(status, settings),
        *_audit(status),
        *_jobs(status),
        *_destinations(status),
        *_quarantine(status),
        *_refusals(status, settings),
        *_skipped_words(status),
        *_backfill(status, settings),
    ]
    return tuple(sorted(problems, key=lambda problem: -problem.level))


def worst(problems: Iterable[Problem]) -> Level:
    """Return the overall level."""
    return max((problem.level for problem in problems), default=Level.OK)


def _processes(status: ServiceStatus, settings: Settings) -> Iterator[Problem]:
    alive = {process.role for process in status.processes if process.alive}
    for role, text in NEEDED_ROLES.items():
        if role == "deliverer" and not settings.destinations:
            continue
        if role == "housekeeping" and settings.listener.housekeeping:
            continue
        if role not in alive:
            yield Problem(level=Level.CRITICAL, code=f"no-{role}", text=text)
    for process in status.processes:
        if process.alive and "reload_refused" in process.about:
            yield Problem(
                level=Level.WARNING,
                code="reload-refused",
                text=f"{process.role} keeps its old settings, because the new ones are wrong: "
                "`echo-agent config check` says what; correct them and reload again",
            )


def _audit(status: ServiceStatus) -> Iterator[Problem]:
    for name, place in status.audit.items():
        if place.code is not None:
            yield Problem(
                level=Level.WARNING,
                code=place.code,
                text=f"the audit's {name} accepts no messages: {place.waiting} wait and are sent when it "
                "does; check `audit` and the receiving system",
            )


def disk_level(free_mb: float | None, least_mb: float) -> Level:
    """Return the level of the free space (MB); below `least_mb` senders are told to wait."""
    if free_mb is None or free_mb < least_mb:
        return Level.CRITICAL
    return Level.WARNING if free_mb < 2 * least_mb else Level.OK


def _disk(status: ServiceStatus, settings: Settings) -> Iterator[Problem]:
    least = settings.storage.min_free_mb
    free = status.disk_free_mb
    level = disk_level(free, least)
    if free is None:
        yield Problem(
            level=Level.CRITICAL,
            code="storage-unreadable",
            text=f"{settings.storage.path} cannot be read: check the mount and `storage.path`",
        )
    elif level is Level.CRITICAL:
        yield Problem(
            level=Level.CRITICAL,
            code="storage-full",
            text=f"{free:.0f} MB free, below `storage.min_free_mb` ({least:.0f}): senders are told to wait; "
            "free space or lower the limit",
        )
    elif level is Level.WARNING:
        yield Problem(
            level=Level.WARNING,
            code="storage-low",
            text=f"{free:.0f} MB free; at {least:.0f} MB senders will be told to wait",
        )


def _jobs(status: ServiceStatus) -> Iterator[Problem]:
    age = status.oldest_queued_s
    if age is not None and age > QUEUE_WARNING_S:
        yield Problem(
            level=Level.WARNING,
            code="queue-old",
            text=f"a study has been queued for {age / 60:.0f} min: look at the worker's log, add a worker, "
            "or raise `worker.slots`",
        )
    for state in (JobState.DEAD, JobState.FAILED):
        count = status.jobs[state.value]
        if count:
            yield Problem(
                level=Level.WARNING,
                code=f"jobs-{state.value.lower()}",
                text=f"{count} {'study' if count == 1 else 'studies'} {state.value}: "
                f"`echo-agent dead list` says why and what to do, `dead retry JOB` tries again",
            )


def _destinations(status: ServiceStatus) -> Iterator[Problem]:
    for destination in status.destinations:
        dead = destination.deliveries[DeliveryState.DEAD.value]
        if dead:
            yield Problem(
                level=Level.WARNING,
                code="deliveries-dead",
                text=f"{counted(dead, 'document')} not taken by {destination.name}: `echo-agent dead list` "
                "shows the studies and what to do, `dead retry JOB` sends them again",
            )
        silent = destination.deliveries[DeliveryState.UNCOMMITTED.value]
        if silent:
            yield Problem(
                level=Level.WARNING,
                code="deliveries-uncommitted",
                text=f"{destination.name} stored {counted(silent, 'document')} but does not confirm the "
                "storage: look at its storage commitment and query; `queue retry JOB` has a study's "
                "asked for again",
            )
        answer = destination.answer
        if answer is not None and not answer.reachable:
            yield Problem(
                level=Level.WARNING,
                code="destination-unreachable",
                text=f"{destination.name}: {answer.words}. Drafts wait here and go by themselves when it is "
                "back; `echo-agent doctor` says what to check",
            )
        if destination.failing:
            yield Problem(
                level=Level.WARNING,
                code="deliveries-failing",
                text=f"{counted(destination.failing, 'document')} waiting for {destination.name} after up to "
                f"{counted(destination.attempts, 'failed attempt')}, the last: {destination.last_reason} "
                f"[{destination.last_code}]; retried automatically; `echo-agent doctor` tests the connection",
            )
        if destination.warnings_last_day:
            warned = destination.warnings_last_day.items()
            counts = ", ".join(f"{status}: {count}" for status, count in warned)
            yield Problem(
                level=Level.WARNING,
                code="stored-with-warning",
                text=f"{destination.name} stored documents of the last day with a warning ({counts}): it may "
                "have changed or dropped attributes; `study show` has each one, compare with the PACS's log",
            )
        age = destination.oldest_waiting_s
        if age is not None and age > WAITING_WARNING_S:
            yield Problem(
                level=Level.WARNING,
                code="destination-waiting",
                text=f"{destination.name} has taken nothing for {age / 60:.0f} min "
                f"({destination.last_code or 'not tried yet'}): `echo-agent doctor` tests the connection",
            )


def _quarantine(status: ServiceStatus) -> Iterator[Problem]:
    count = sum(status.quarantined_last_day.values())
    if count:
        yield Problem(
            level=Level.WARNING,
            code="quarantine",
            text=f"{counted(count, 'object')} received in the last day could not be read, now in quarantine: "
            "look at the sender's export",
        )


def _skipped_words(status: ServiceStatus) -> Iterator[Problem]:
    for sender in status.skipped_words:
        yield Problem(
            level=Level.WARNING,
            code="skipped-for-words",
            text=f"{sender.sender}: {sender.skipped} of {counted(sender.images, 'film')} skipped for "
            f"their words ({sender.texts[0]}); if they show chests, add words to `routing` (docs/films.md)",
        )


def _backfill(status: ServiceStatus, settings: Settings) -> Iterator[Problem]:
    found = status.backfill
    if found is None or not settings.backfill.enabled:
        return
    running = any(one.role == "backfill" and one.alive for one in status.processes)
    if found.open and not found.stopped and not running:
        yield Problem(
            level=Level.WARNING,
            code="backfill-not-running",
            text="old studies are planned and nothing retrieves them: start `echo-agent backfill run`, or "
            "give the rest up with `echo-agent backfill stop --drop`",
        )
    if found.dead:
        yield Problem(
            level=Level.WARNING,
            code="backfill-dead",
            text=f"given up: {found.dead} of the archive's queries and old studies; `echo-agent backfill "
            "status` has the reasons, `backfill plan … --again` tries them again",
        )


def _refusals(status: ServiceStatus, settings: Settings) -> Iterator[Problem]:
    for one in status.refusals:
        who = f"{one.ae_title or 'a sender without an AE title'} at {one.address}"
        proposal = f"; {wanted(one)}" if wanted(one) else ""
        yield Problem(
            level=Level.WARNING,
            code="sender-refused",
            text=f"{who}: {one.count} x {one.reason_code} in the last day{proposal}: "
            f"{refusal_advice(one, settings.listener)}",
        )
    if status.refusals_left_out:
        yield Problem(
            level=Level.WARNING,
            code="sender-refused",
            text=f"{counted(status.refusals_left_out, 'more refusal')} in the last day: `echo-agent senders` "
            "shows all",
        )

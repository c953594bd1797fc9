"""One read model of the whole service, for the CLI, the web page and the metrics.

Every query is bounded: counts stop at `COUNT_CAP`, lists at `LIST_CAP`, so that the duration does not grow
with the number of studies. It contains no patient attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import version
from statistics import quantiles
from typing import Any

from sqlalchemy import func, literal, select, text, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from agent.database.audit.backlog import AuditBacklog, read_backlogs
from agent.database.session import Database, database_now
from agent.database.states import DeliveryState, JobState, Lane
from agent.database.tables import Delivery, Draft, Job, Quarantined, Worker
from agent.foundation.disk import free_mb
from agent.foundation.settings.tree import Settings
from agent.operations.advice import advice_for
from agent.operations.backfill_counts import BackfillCounts, read_backfill
from agent.operations.backlog import LaneBacklog, read_backlog
from agent.operations.senders import SenderRefusal, read_refusals
from agent.operations.skipped_words import SkippedWords, read_skipped_words
from agent.operations.stopped import needs_a_person
from agent.operations.throughput import Throughput, read_throughput

COUNT_CAP = 10_000
LIST_CAP = 2_000
PROBLEMS_SHOWN = 10
# A process writes a heartbeat every few seconds; after this time (s) without one it counts as down.
ALIVE_WITHIN_S = 45.0
# A document that was returned because the association ended before it was sent.
NOT_TRIED = "not-tried"
TROUBLE = (JobState.FAILED, JobState.DEAD)
# Nobody waits for an old study: it is drafted when nothing else is due.
_AWAITED = Job.lane != Lane.BACKFILL.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """A process of the service: `silent_s` is the time (s) since its last heartbeat."""

    id: str
    role: str
    host: str
    pid: int
    silent_s: float
    alive: bool
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Drafts of a time span, and the seconds from a study's last image to its draft and to its storing."""

    drafts: int
    last_image_to_drafted_p50: float | None
    last_image_to_drafted_p95: float | None
    last_image_to_drafted_p99: float | None
    last_image_to_stored_p50: float | None
    last_image_to_stored_p95: float | None
    last_image_to_stored_p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """A destination's latest answer to a probe (C-ECHO, DICOMweb), and its time."""

    reachable: bool
    words: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """The deliveries to one PACS; `oldest_waiting_s` is the age (s) of the longest waiting document. `answer`
    is None before the first probe.
    """

    name: str
    deliveries: Mapping[str, int]
    oldest_waiting_s: float | None
    last_code: str | None
    last_reason: str | None
    # Documents that wait after a failed attempt, and the most failed attempts of one of them.
    failing: int
    attempts: int
    # Documents of the last day that it stored with a warning, by status.
    warnings_last_day: Mapping[str, int]
    answer: ProbeAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A job that stopped, why, and what to do about it."""

    job_id: int
    state: str
    code: str | None
    reason: str | None
    advice: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """The service at one moment. A count of `COUNT_CAP` means that many or more."""

    at: datetime
    version: str
    database: str
    database_mb: float | None
    jobs: Mapping[str, int]
    oldest_queued_s: float | None
    oldest_receiving_s: float | None
    skipped_last_day: Mapping[str, int]
    quarantined_last_day: Mapping[str, int]
    processes: Sequence[ProcessStatus]
    destinations: Sequence[DestinationStatus]
    last_hour: Latency
    last_day: Latency
    throughput_last_hour: Throughput
    throughput_last_day: Throughput
    troubles: Sequence[Trouble]
    disk_free_mb: float | None
    # By destination of audit messages: file, syslog.
    audit: Mapping[str, AuditBacklog] = field(default_factory=dict)
    # The listener's refusals of the last day, the latest first.
    refusals: Sequence[SenderRefusal] = ()
    # How many more there are than `refusals` has.
    refusals_left_out: int = 0
    # Senders whose films of the last days were skipped for their words in more than a tenth of cases.
    skipped_words: Sequence[SkippedWords] = ()
    # Due jobs by lane and site.
    backlog: Sequence[LaneBacklog] = ()
    # None if no backfill was ever planned.
    backfill: BackfillCounts | None = None


def read_status(database: Database, settings: Settings) -> ServiceStatus:
    """Read the status in one short transaction that takes no write lock.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        now = database_now(session)
        hour, day = now - timedelta(hours=1), now - timedelta(days=1)
        throughput_hour, throughput_day = read_throughput(session, hour=hour, day=day)
        processes = _processes(session, now)
        refusals = read_refusals(session, day)
        return ServiceStatus(
            at=now,
            version=version("echo-agent"),
            database=database.engine.dialect.name,
            database_mb=_size_mb(session),
            jobs=_counts(session, Job.state, JobState)
            | _counts(session, Job.state, TROUBLE, needs_a_person()),
            oldest_queued_s=_age(
                session, now, Job.run_after, _AWAITED & (Job.state == JobState.QUEUED.value)
            ),
            oldest_receiving_s=_age(
                session, now, Job.created_at, _AWAITED & (Job.state == JobState.RECEIVING.value)
            ),
            skipped_last_day=_skipped(session, now),
            quarantined_last_day=_quarantined(session, now),
            processes=processes,
            destinations=_destinations(session, now, settings, processes),
            last_hour=_latency(session, hour),
            last_day=_latency(session, day),
            throughput_last_hour=throughput_hour,
            throughput_last_day=throughput_day,
            troubles=_troubles(session),
            disk_free_mb=free_mb(settings.storage.path),
            audit=read_backlogs(session, settings),
            refusals=refusals[:PROBLEMS_SHOWN],
            refusals_left_out=max(0, len(refusals) - PROBLEMS_SHOWN),
            skipped_words=read_skipped_words(session, now),
            backlog=read_backlog(session, now),
            backfill=read_backfill(session),
        )


def living_processes(database: Database) -> tuple[str, ...]:
    """Return the names of the processes with a recent heartbeat.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        return tuple(one.id for one in _processes(session, database_now(session)) if one.alive)


def _size_mb(session: Session) -> float | None:
    if session.get_bind().dialect.name == "sqlite":
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        query = "SELECT pg_database_size(current_database())"
    size: int | None = session.execute(text(query)).scalar()
    return None if size is None else round(size / 1e6, 1)


def _counts(
    session: Session,
    column: InstrumentedAttribute[str],
    states: Iterable[StrEnum],
    *where: ColumnElement[bool],
) -> dict[str, int]:
    """Count the rows of each state, up to `COUNT_CAP`, in one query."""
    parts = []
    for state in states:
        some = select(column).where(*where, column == state.value).limit(COUNT_CAP).subquery()
        parts.append(select(literal(state.value).label("state"), func.count()).select_from(some))
    return {str(state): count for state, count in session.execute(union_all(*parts))}


def _age(session: Session, now: datetime, column: Any, where: ColumnElement[bool]) -> float | None:
    some = select(column.label("moment")).where(where).limit(COUNT_CAP).subquery()
    oldest: datetime | None = session.execute(select(func.min(some.c.moment))).scalar()
    return None if oldest is None else max(0.0, (now - oldest).total_seconds())


def _grouped(session: Session, code: Any, *where: ColumnElement[bool]) -> dict[str, int]:
    some = select(func.coalesce(code, literal("-")).label("code")).where(*where).limit(COUNT_CAP).subquery()
    rows = session.execute(select(some.c.code, func.count()).group_by(some.c.code).order_by(some.c.code))
    return {str(name): count for name, count in rows}


def _skipped(session: Session, now: datetime) -> dict[str, int]:
    recent = Job.updated_at >= now - timedelta(days=1)
    return _grouped(session, Job.code, recent, Job.state == JobState.SKIPPED.value)


def _quarantined(session: Session, now: datetime) -> dict[str, int]:
    return _grouped(session, Quarantined.code, Quarantined.received_at >= now - timedelta(days=1))


def _processes(session: Session, now: datetime) -> tuple[ProcessStatus, ...]:
    seen = select(Worker).where(Worker.seen_at >= now - timedelta(days=1)).order_by(Worker.role, Worker.id)
    return tuple(_process(worker, now) for worker in session.scalars(seen.limit(LIST_CAP)))


def _process(worker: Worker, now: datetime) -> ProcessStatus:
    silent_s = max(0.0, (now - worker.seen_at).total_seconds())
    return ProcessStatus(
        id=worker.id,
        role=worker.role,
        host=worker.host,
        pid=worker.pid,
        silent_s=round(silent_s, 1),
        alive=silent_s <= ALIVE_WITHIN_S,
        about=worker.about,
    )


def _destinations(
    session: Session, now: datetime, settings: Settings, processes: Sequence[ProcessStatus]
) -> tuple[DestinationStatus, ...]:
    answers = _answers(processes)
    return tuple(_destination(session, now, one.name, answers.get(one.name)) for one in settings.destinations)


def _answers(processes: Sequence[ProcessStatus]) -> dict[str, ProbeAnswer]:
    """Return the latest answer of each destination to a running deliverer."""
    found: dict[str, ProbeAnswer] = {}
    for process in processes:
        if process.role != "deliverer" or not process.alive:
            continue
        for name, said in process.about.get("answers", {}).items():
            answer = ProbeAnswer(
                reachable=said["reachable"], words=said["words"], at=datetime.fromisoformat(said["at"])
            )
            if name not in found or found[name].at < answer.at:
                found[name] = answer
    return found


def _destination(session: Session, now: datetime, name: str, answer: ProbeAnswer | None) -> DestinationStatus:
    here = Delivery.destination == name
    waiting = Delivery.state == DeliveryState.PENDING.value
    failed = waiting & Delivery.code.is_not(None) & (Delivery.code != NOT_TRIED) & (Delivery.attempts > 0)
    last = select(Delivery.code, Delivery.reason).where(here, failed).order_by(Delivery.updated_at.desc())
    row = session.execute(last.limit(1)).first()
    some = select(Delivery.attempts.label("attempts")).where(here, failed).limit(COUNT_CAP).subquery()
    failing, attempts = session.execute(select(func.count(), func.max(some.c.attempts))).one()
    warned = (here, Delivery.warning.is_not(None), Delivery.stored_at >= now - timedelta(days=1))
    return DestinationStatus(
        name=name,
        deliveries=_counts(session, Delivery.state, DeliveryState, here),
        oldest_waiting_s=_age(session, now, Delivery.created_at, here & waiting),
        last_code=None if row is None else row.code,
        last_reason=None if row is None else row.reason,
        failing=failing,
        attempts=attempts or 0,
        warnings_last_day=_grouped(session, func.substr(Delivery.warning, 1, 6), *warned),
        answer=answer,
    )


def _latency(session: Session, since: datetime) -> Latency:
    # An index contains both durations, so no row of a draft, with its long text, is read.
    rows = session.execute(
        select(Draft.waited_s, Draft.delivered_s)
        .where(Draft.created_at >= since, Draft.outcome == "drafted")
        .order_by(Draft.created_at.desc())
        .limit(LIST_CAP)
    ).all()
    to_draft = [waited for waited, _ in rows if waited is not None]
    to_store = [delivered for _, delivered in rows if delivered is not None]
    return Latency(
        drafts=len(rows),
        last_image_to_drafted_p50=percentile(to_draft, 50),
        last_image_to_drafted_p95=percentile(to_draft, 95),
        last_image_to_drafted_p99=percentile(to_draft, 99),
        last_image_to_stored_p50=percentile(to_store, 50),
        last_image_to_stored_p95=percentile(to_store, 95),
        last_image_to_stored_p99=percentile(to_store, 99),
    )


def percentile(values: Sequence[float], rank: int) -> float | None:
    """Return the `rank`-th percentile (1 to 99), rounded to milliseconds; None without values."""
    if not values:
        return None
    if len(values) == 1:
        return round(values[0], 3)
    return round(quantiles(values, n=100, method="inclusive")[rank - 1], 3)


def _troubles(session: Session) -> tuple[Trouble, ...]:
    found: list[Job] = []
    for state in TROUBLE:
        newest = (
            select(Job)
            .where(Job.state == state.value, needs_a_person())
            .order_by(Job.updated_at.desc())
            .limit(PROBLEMS_SHOWN)
        )
        found.extend(session.scalars(newest))
    found.sort(key=lambda job: job.updated_at, reverse=True)
    return tuple(
        Trouble(
            job_id=job.id,
            state=job.state,
            code=job.code,
            reason=job.reason,
            advice=advice_for(job.code),
            at=job.updated_at,
        )
        for job in found[:PROBLEMS_SHOWN]
    )

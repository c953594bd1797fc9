"""A load run: many senders of several sites, PostgreSQL restarted in the middle, one site cut off meanwhile.

The listener, the intake, the gate, the completion of studies and the queue are the service's own; the network
is a pause, so that the run shows the queue and not the GPU.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from agent.commands.demo.postgres import PostgresServer, running_postgres
from agent.database import migrate
from agent.database.session import Database, database_now, open_engine
from agent.database.states import JobState
from agent.database.tables import Job, JobEvent, Study
from agent.foundation.errors import DatabaseUnavailable, LeaseLost
from agent.foundation.settings.tree import (
    DestinationSettings,
    ListenerSettings,
    Settings,
    SiteSettings,
    StorageSettings,
    StudySettings,
)
from agent.objects.store import InstanceStore
from agent.queue import jobs
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from agent.receive.scp import StorageScp
from benchmarks.hosts_account import Account, Drafted, settle
from benchmarks.hosts_senders import Sender, Site, ae_title, senders_of

_ROOM, _LEASE_S, _PAUSE_S = 4, 60.0, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a run: times in s. The database stops for `outage_s`, the first site for `cut_s`."""

    senders: int
    sites: int
    studies: int
    workers: int
    draft_s: float
    outage_s: float
    cut_s: float
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result. peak: the most studies that were stored but not drafted at the same time. rate: drafts per
    second from the moment that the database and the site were back. stat_p99_s, routine_p99_s: from queued to
    claimed.
    """

    account: Account
    sent: int
    refused: int
    peak: int
    rate: float
    seconds: float
    stat_p99_s: float
    routine_p99_s: float


def run(plan: Plan) -> Outcome:
    """Run it on a separate PostgreSQL server; it ends when everything is drafted, or after `longest_s`."""
    with running_postgres(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        database = Database(open_engine(server.url(server.create())))
        try:
            migrate.upgrade(database)
            return _run(plan, server, database, Path(folder))
        finally:
            database.close()


def _run(plan: Plan, server: PostgresServer, database: Database, folder: Path) -> Outcome:
    sites = [Site(f"site{number}") for number in range(plan.sites)]
    settings = _settings(plan, sites, folder)
    store = InstanceStore(folder / "instances", 10)
    scp = StorageScp(
        settings.listener, store, Intake(database, settings.studies, settings.site_of, settings.in_shadow)
    )
    stop = threading.Event()
    port = scp.start()
    senders = senders_of(sites, plan.senders, port, plan.studies, stop)
    loops: list[threading.Thread] = [
        threading.Thread(
            target=_patiently,
            args=(stop, lambda: len(complete_due_studies(database, settings, store))),
            daemon=True,
        )
    ]
    for number in range(plan.workers):
        name = f"worker{number}"
        loops.append(
            threading.Thread(
                target=_patiently, args=(stop, lambda name=name: _draft(database, name, plan)), daemon=True
            )
        )
    began = time.monotonic()
    try:
        for thread in [*senders, *loops]:
            thread.start()
        peak, back, at_back = _disturb(plan, server, database, sites, senders)
        done = _wait_for_all(plan, database, senders, began)
        seconds = time.monotonic() - began
        made, sent = _jobs(database), [uid for one in senders for uid in one.stored]
        whole = len(sent) == plan.senders * plan.studies and done
        account = settle(sent, made)
        if not whole:
            account = Account(
                drafted=account.drafted,
                lost=max(1, plan.senders * plan.studies - account.drafted),
                twice=account.twice,
                overtaken=account.overtaken,
            )
        return Outcome(
            account=account,
            sent=len(sent),
            refused=sum(one.refused for one in senders),
            peak=peak,
            rate=round((account.drafted - at_back) / max(0.001, time.monotonic() - back), 1),
            seconds=round(seconds, 1),
            stat_p99_s=_p99(made, "stat"),
            routine_p99_s=_p99(made, "routine"),
        )
    finally:
        stop.set()
        scp.stop(1.0)
        for thread in [*senders, *loops]:
            thread.join(30)


def _settings(plan: Plan, sites: Sequence[Site], folder: Path) -> Settings:
    titles = {
        site.name: tuple(ae_title(n) for n in range(plan.senders) if n % plan.sites == index)
        for index, site in enumerate(sites)
    }
    return Settings(
        storage=StorageSettings(path=folder / "instances", min_free_mb=10),
        listener=ListenerSettings(port=0, maximum_associations=100, maximum_associations_per_peer=100),
        studies=StudySettings(quiet_time_s=0.5, stat_quiet_time_s=0.2),
        sites=tuple(SiteSettings(name=name, calling_ae_titles=value) for name, value in titles.items()),
        destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=104, ae_title="PACS"),),
    )


def _patiently(stop: threading.Event, act: Callable[[], int]) -> None:
    """Repeat a step; pause if there is nothing to do, or no database."""
    while not stop.is_set():
        try:
            done = act()
        except DatabaseUnavailable:
            done = 0
        if not done:
            stop.wait(_PAUSE_S)


def _draft(database: Database, owner: str, plan: Plan) -> int:
    claims = jobs.claim(database, owner, _LEASE_S, _ROOM)
    for claim in claims:
        time.sleep(plan.draft_s)
        _finish(database, claim, owner)
    return len(claims)


def _finish(database: Database, claim: jobs.Claim, owner: str) -> None:
    """Write the result once the database is available, like the worker."""
    for _ in range(600):
        try:
            with database.transaction() as session:
                jobs.finish(session, claim, now=database_now(session), actor=owner)
            return
        except LeaseLost:
            return
        except DatabaseUnavailable:
            time.sleep(_PAUSE_S)


def _disturb(
    plan: Plan, server: PostgresServer, database: Database, sites: Sequence[Site], senders: Sequence[Sender]
) -> tuple[int, float, int]:
    """Cut the first site off, restart the database meanwhile, and connect the site again.

    Return the largest backlog, the moment when everything was back, and the drafts made until then.
    """
    total = plan.senders * plan.studies
    while sum(len(one.stored) for one in senders) < total // 4:
        time.sleep(0.05)
    sites[0].connected.clear()
    cut = time.monotonic()
    server.stop()
    time.sleep(plan.outage_s)
    server.start()
    while time.monotonic() < cut + plan.cut_s:
        time.sleep(0.05)
    stored = sum(len(one.stored) for one in senders)
    sites[0].connected.set()
    drafted = _drafted(database)
    return stored - drafted, time.monotonic(), drafted


def _wait_for_all(plan: Plan, database: Database, senders: Sequence[Sender], began: float) -> bool:
    total = plan.senders * plan.studies
    while time.monotonic() < began + plan.longest_s:
        if not any(one.is_alive() for one in senders) and _drafted(database) >= total:
            return True
        time.sleep(0.1)
    return False


def _drafted(database: Database) -> int:
    for _ in range(600):
        try:
            with database.reading() as session:
                return session.scalar(select(func.count()).where(Job.state == JobState.DRAFTED.value)) or 0
        except DatabaseUnavailable:
            time.sleep(_PAUSE_S)
    raise TimeoutError("the database did not come back")


def _jobs(database: Database) -> list[Drafted]:
    """Every transition to DRAFTED, with the job's last claim."""
    with database.reading() as session:
        rows = session.execute(
            select(JobEvent.job_id, JobEvent.to_state, JobEvent.at)
            .where(JobEvent.to_state.in_(["QUEUED", "GENERATING", "DRAFTED"]))
            .order_by(JobEvent.id)
        ).all()
        about = {
            row.id: row
            for row in session.execute(
                select(Job.id, Job.lane, Job.site, Study.study_instance_uid).join(
                    Study, Study.id == Job.study_id
                )
            )
        }
    at: dict[int, dict[str, float]] = {}
    made = []
    for row in rows:
        times = at.setdefault(row.job_id, {})
        times[row.to_state] = row.at.timestamp()
        if row.to_state == "DRAFTED":
            job = about[row.job_id]
            made.append(
                Drafted(
                    study=job.study_instance_uid,
                    lane=job.lane,
                    site=job.site,
                    queued=times["QUEUED"],
                    claimed=times["GENERATING"],
                    drafted=times["DRAFTED"],
                )
            )
    return made


def _p99(made: Sequence[Drafted], lane: str) -> float:
    waits = sorted(one.claimed - one.queued for one in made if one.lane == lane)
    return round(waits[int(0.99 * (len(waits) - 1))], 2) if waits else 0.0

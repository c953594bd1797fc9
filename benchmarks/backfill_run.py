"""A backfill together with STAT studies: the service's own processes, a real Orthanc, and phases with and
without the backfill.

STAT studies arrive all the time. Alternately, the backfill runs until its share of the studies is retrieved,
and is stopped until its drafts are made and as much time has passed, so that other changes on the machine
affect both kinds of phases.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from agent.commands.demo.orthanc import Orthanc, free_ports, running_orthanc
from agent.commands.demo.service import own_environment, write_config
from agent.database import migrate
from agent.database.backfill import OPEN_PULLS, OPEN_SLICES, BackfillSlice, BackfillStudy, PullState
from agent.database.session import Database, open_engine
from agent.database.states import JobState, Lane
from agent.database.tables import Job, JobEvent, Study
from agent.foundation.settings.load import load_settings
from agent.retrieve.backfill.planning import go, make_plan, stop
from agent.retrieve.backfill.progress import Progress, read_progress
from benchmarks.backfill_account import (
    ALLOWED,
    Latency,
    Phase,
    latency,
    most_in_a_minute,
    stat_studies,
)
from benchmarks.backfill_archive import AE_TITLE as ARCHIVE
from benchmarks.backfill_processes import ProcessorTime, shares
from benchmarks.backfill_studies import FIRST_DAY, PER_DAY, StatSender, catalogue, drawn, fill, write
from benchmarks.databases import durable_database

ROOT = Path(__file__).resolve().parent.parent
_MOVE_DESTINATION = "ECHO_BACKFILL"
_POLL_S = 0.2
_LAST_DRAFTS_WITHIN_S = 120.0
_BEFORE_ITS_DRAFT = [state.value for state in (JobState.RECEIVING, JobState.QUEUED, JobState.GENERATING)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a run. listed, retrieved: studies of the archive, and those of them that are chest films.

    rounds: phases of each kind. stat_s: time (s) between two STAT studies. quiet_s: their quiet time (s).
    draft_s: time (s) of a draft in place of the network; 0: the network itself. size: side of the films (px).
    longest_s: the run is given up after this time.
    """

    listed: int
    retrieved: int
    rounds: int
    stat_s: float
    quiet_s: float
    draft_s: float
    studies_per_minute: float
    queries_per_minute: float
    size: int
    database: str
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result: studies found and retrieved, their images and drafts; STAT studies without a draft.

    ended: everything was retrieved before the time was over. ratio, ratio_p50: latencies with the backfill to
    those without. seconds: how long the backfill ran. *_a_minute: the most that was requested from the
    archive in any minute. cores: what each process used, on average, in phases without and with the backfill.
    """

    ended: bool

    without: Latency
    beside: Latency
    ratio: float
    ratio_p50: float
    found: int
    retrieved: int
    drafted: int
    queries: int
    images: int
    stat_lost: int
    stat_refused: int
    seconds: float
    studies_a_minute: int
    queries_a_minute: int
    cores: list[dict[str, float | str]]

    def right(self, plan: Plan) -> bool:
        """Whether everything was found, retrieved and drafted once, within the budget and the ratio."""
        return (
            (self.ended, self.found, self.retrieved, self.drafted, self.stat_lost, self.stat_refused)
            == (True, plan.listed, plan.retrieved, plan.retrieved, 0, 0)
            and self.studies_a_minute <= plan.studies_per_minute + 1
            and self.queries_a_minute <= plan.queries_per_minute + 1
            and self.ratio <= ALLOWED
        )


def run(plan: Plan) -> Outcome:
    """Run it in its own folder, which is removed at the end.

    Raises:
        ProgramMissing: Orthanc or PostgreSQL is not installed.
        TimeoutError: it did not end in time.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="echo-agent-backfill-")))
        orthanc = stack.enter_context(running_orthanc(folder))
        url = stack.enter_context(durable_database(plan.database, str(folder)))
        films = drawn(plan.size, plan.retrieved)
        listed = catalogue(plan.listed, plan.retrieved)
        images = fill(orthanc, films, listed)
        listener, archive = free_ports(2)
        config = _config(plan, folder, url, listener, archive)
        _started_archive(stack, folder, listed, archive, orthanc, listener)
        database = Database(open_engine(url))
        stack.callback(database.close)
        migrate.upgrade(database)
        settings = load_settings(config).backfill
        make_plan(database, settings, FIRST_DAY, FIRST_DAY + timedelta(days=(plan.listed - 1) // PER_DAY))
        stack.enter_context(_process(("listen",), config, folder))
        stack.enter_context(_worker(plan, config, folder))
        sender = StatSender(films, listener, plan.stat_s)
        stop(database)
        backfill = stack.enter_context(_process(("backfill", "run", "--follow"), config, folder))
        server = make_url(url).port
        measured = _Run(plan, database, sender, backfill, ProcessorTime(server))
        measured.warm_up(listener)
        measured.phases()
        return measured.outcome(images, lambda: read_progress(database, settings))


class _Run:
    """The phases of one run."""

    def __init__(
        self,
        plan: Plan,
        database: Database,
        sender: StatSender,
        backfill: subprocess.Popen[bytes],
        processor: ProcessorTime,
    ) -> None:
        self._plan, self._database, self._sender = plan, database, sender
        self._backfill, self._processor = backfill, processor
        self._used: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._phases: list[Phase] = []
        self._ended = False
        self._deadline = time.monotonic() + plan.longest_s

    def warm_up(self, port: int) -> None:
        """Wait for the listener, then until the first STAT studies are drafted; they do not count."""
        self._wait(lambda: _listens(port))
        self._processor.start()
        self._sender.start()
        self._wait(lambda: self._jobs(JobState.DRAFTED) >= 3)

    def phases(self) -> None:
        """Alternately run and stop the backfill until everything is retrieved, or the time is over; then stop
        the STAT studies.
        """
        try:
            for number in range(1, self._plan.rounds + 1):
                self._one_round(number)
            self._ended = True
        except TimeoutError:
            stop(self._database)
        self._sender.stop.set()
        self._sender.join()
        self._deadline = time.monotonic() + _LAST_DRAFTS_WITHIN_S
        self._wait(lambda: self._jobs(*_BEFORE_ITS_DRAFT) == 0)
        self._processor.end()

    def _one_round(self, number: int) -> None:
        target = self._plan.retrieved * number // self._plan.rounds
        last = number == self._plan.rounds
        with self._phase(backfill=True):
            go(self._database)
            self._wait(lambda: self._open() == 0 if last else self._retrieved() >= target)
            self._wait(self._has_stat_study)
            stop(self._database)
            seconds = time.time() - self._phases_begun
        self._wait(lambda: self._jobs(*_BEFORE_ITS_DRAFT, lane=Lane.BACKFILL) == 0)
        with self._phase(backfill=False):
            self._rest(seconds)

    def outcome(self, images: int, progress: Callable[[], Progress]) -> Outcome:
        """Return the result according to the database."""
        found = progress()
        with self._database.reading() as session:
            events = [
                (row.study_instance_uid, row.to_state, row.at.timestamp())
                for row in session.execute(
                    select(Study.study_instance_uid, JobEvent.to_state, JobEvent.at)
                    .join(Job, Job.id == JobEvent.job_id)
                    .join(Study, Study.id == Job.study_id)
                    .where(Job.lane == Lane.STAT.value)
                )
            ]
            asked = [
                [at.timestamp() for at in session.scalars(select(table.asked_at)) if at is not None]
                for table in (BackfillStudy, BackfillSlice)
            ]
        studies, lost = stat_studies(self._sender.sent, events)
        without, beside = (latency(studies, self._phases, backfill=one) for one in (False, True))
        lengths = {
            kind: sum(one.ended - one.begun for one in self._phases if one.backfill is kind)
            for kind in (True, False)
        }
        return Outcome(
            ended=self._ended,
            without=without,
            beside=beside,
            ratio=round(beside.p99 / without.p99, 3),
            ratio_p50=round(beside.p50 / without.p50, 3),
            found=sum(found.studies.values()),
            retrieved=found.studies.get(PullState.PULLED.value, 0),
            drafted=self._jobs(JobState.DRAFTED, JobState.DELIVERED, lane=Lane.BACKFILL),
            queries=sum(found.slices.values()),
            images=images,
            stat_lost=lost,
            stat_refused=self._sender.refused,
            seconds=round(lengths[True], 1),
            studies_a_minute=most_in_a_minute(asked[0]),
            queries_a_minute=most_in_a_minute(asked[1]),
            cores=shares(self._used, lengths),
        )

    @contextmanager
    def _phase(self, *, backfill: bool) -> Iterator[None]:
        self._phases_begun = begun = time.time()
        before = self._processor.totals()
        try:
            yield
        finally:
            self._phases.append(Phase(backfill=backfill, begun=begun, ended=time.time()))
            after = self._processor.totals()
            self._used[backfill].update({role: after[role] - before[role] for role in after})

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= until and self._has_stat_study())

    def _has_stat_study(self) -> bool:
        """Whether one was sent in the current phase: without any, that kind of phase has no latency."""
        return any(sent >= self._phases_begun for sent in list(self._sender.sent.values()))

    def _retrieved(self) -> int:
        with self._database.reading() as session:
            return (
                session.scalar(select(func.count()).where(BackfillStudy.state == PullState.PULLED.value)) or 0
            )

    def _open(self) -> int:
        """Return how many queries are still to be made and studies still to be retrieved."""
        with self._database.reading() as session:
            slices = session.scalar(
                select(func.count()).where(BackfillSlice.state.in_([one.value for one in OPEN_SLICES]))
            )
            studies = session.scalar(
                select(func.count()).where(BackfillStudy.state.in_([one.value for one in OPEN_PULLS]))
            )
        return (slices or 0) + (studies or 0)

    def _jobs(self, *states: str, lane: Lane | None = None) -> int:
        count = select(func.count(Job.id)).where(Job.state.in_([str(one) for one in states]))
        if lane is not None:
            count = count.where(Job.lane == lane.value)
        with self._database.reading() as session:
            return session.scalar(count) or 0

    def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            if time.monotonic() > self._deadline:
                raise TimeoutError("the run is given up: it did not end in time")
            if self._backfill.poll() is not None:
                raise RuntimeError(f"the backfill ended, with status {self._backfill.returncode}")
            time.sleep(_POLL_S)


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _config(plan: Plan, folder: Path, url: str, listener: int, archive: int) -> Path:
    changes: dict[str, dict[str, Any]] = {
        "database": {"url": url},
        "studies": {"quiet_time_s": 10, "stat_quiet_time_s": plan.quiet_s},
        "archive": {"host": "127.0.0.1", "port": archive, "ae_title": ARCHIVE},
        "backfill": {
            "enabled": True,
            "move_destination": _MOVE_DESTINATION,
            "trust_study_description": True,
            "studies_per_minute": plan.studies_per_minute,
            "queries_per_minute": plan.queries_per_minute,
        },
    }
    return write_config(folder, None, port=listener, changes=changes)


def _started_archive(
    stack: ExitStack, folder: Path, listed: list[Any], port: int, orthanc: Orthanc, listener: int
) -> None:
    """Start the archive before Orthanc, which sends what is retrieved to the listener."""
    orthanc.put("/modalities/backfill", [_MOVE_DESTINATION, "127.0.0.1", listener])
    orthanc.put("/modalities/benchmark", ["BENCHMARK", "127.0.0.1", port])
    studies = folder / "studies.json"
    write(listed, studies)
    program = [str(ROOT / "benchmarks" / "backfill_archive.py"), str(port), str(studies), str(orthanc.port)]
    stack.enter_context(_running([sys.executable, *program], folder / "archive.log"))


def _worker(plan: Plan, config: Path, folder: Path) -> Any:
    if not plan.draft_s:
        return _process(("work",), config, folder)
    program = [
        sys.executable,
        str(ROOT / "benchmarks" / "backfill_worker.py"),
        str(config),
        str(plan.draft_s),
    ]
    return _running(program, folder / "work.log")


def _process(command: tuple[str, ...], config: Path, folder: Path) -> Any:
    program = [sys.executable, "-m", "agent", *command, "--config", str(config)]
    return _running(program, folder / f"{command[0]}.log")


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=own_environment()
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

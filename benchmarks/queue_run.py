"""The work of `benchmarks/queue.py`: fills a database, then times the queue's calls on it."""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter, thread_time

from rich.console import Console

from agent.database import migrate
from agent.database.session import Database, database_now, open_engine
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.operations.status import read_status
from agent.queue import jobs
from benchmarks.databases import durable_database
from benchmarks.figures import percentile, table_of
from benchmarks.queue_fill import DAY, fill

SIZES = (1_000, 100_000, 1_000_000)
WAITING = 500
STATUSES = 60
FLUSHES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One database at one size; times in ms."""

    database: str
    studies: int
    fill_s: float
    # The time of one durable write on this disk at that moment: no durable commit is faster.
    fsync_p50_ms: float
    fsync_p99_ms: float
    claim_p50_ms: float
    claim_p99_ms: float
    # From our own thread's processor time: the part of the p99 that is not due to other load on the machine.
    claim_cpu_p99_ms: float
    finish_p50_ms: float
    finish_p99_ms: float
    status_p50_ms: float
    status_p99_ms: float
    status_max_ms: float


def main(description: str) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="studies, 1000 or more")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--rounds", type=int, default=500, help="claims and finishes that are timed")
    parser.add_argument("--json", action="store_true", help="a JSON object as the last line")
    arguments = parser.parse_args()
    load = os.getloadavg()
    console = Console()
    rows = []
    for kind in arguments.databases:
        for size in arguments.sizes:
            with opened(kind) as database:
                rows.append(measure(database, kind, max(size, DAY), min(arguments.rounds, WAITING)))
            console.print(f"{kind}, {size} studies: done")
    records = [asdict(row) for row in rows]
    console.print(table_of("Queue, times in ms", records))
    if arguments.json:
        print(json.dumps({"rows": records, "growth": growth(rows), "load": load}))


@contextmanager
def opened(kind: str) -> Iterator[Database]:
    """An empty, migrated database on this machine's disk."""
    with (
        tempfile.TemporaryDirectory(prefix="echo-agent-queue-") as folder,
        durable_database(kind, folder) as url,
    ):
        database = Database(open_engine(url))
        migrate.upgrade(database)
        yield database
        database.close()


def measure(database: Database, kind: str, size: int, rounds: int) -> Row:
    """Fill and time; the first calls warm up the connection and are not counted."""
    begun = perf_counter()
    fill(database, size, WAITING)
    fill_s = perf_counter() - begun
    claimed: list[jobs.Claim] = []
    settings = Settings(
        destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=104, ae_title="PACS"),)
    )

    def claim() -> None:
        claimed.extend(jobs.claim(database, "benchmark", 3600, 1))

    def finish() -> None:
        with database.transaction() as session:
            jobs.finish(session, claimed.pop(), now=database_now(session))

    def status() -> None:
        read_status(database, settings)

    flushes = flushed()
    claims, claim_cpu = timed(claim, rounds)
    finishes, _ = timed(finish, rounds)
    statuses, _ = timed(status, STATUSES)
    return Row(
        database=kind,
        studies=size,
        fill_s=round(fill_s, 1),
        fsync_p50_ms=percentile(flushes, 0.50),
        fsync_p99_ms=percentile(flushes, 0.99),
        claim_p50_ms=percentile(claims, 0.50),
        claim_p99_ms=percentile(claims, 0.99),
        claim_cpu_p99_ms=percentile(claim_cpu, 0.99),
        finish_p50_ms=percentile(finishes, 0.50),
        finish_p99_ms=percentile(finishes, 0.99),
        status_p50_ms=percentile(statuses, 0.50),
        status_p99_ms=percentile(statuses, 0.99),
        status_max_ms=percentile(statuses, 1.0),
    )


def flushed() -> list[float]:
    """Return how long (ms) the disk takes to store one page at the end of a file, for repeated writes."""
    with tempfile.TemporaryFile() as file:

        def flush() -> None:
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())

        durations, _ = timed(flush, FLUSHES)
    return durations


def timed(act: Callable[[], None], rounds: int) -> tuple[list[float], list[float]]:
    """Return the duration and the processor time (ms) of each round except the first few."""
    durations, processor = [], []
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        begun, begun_cpu = perf_counter(), thread_time()
        act()
        durations.append((perf_counter() - begun) * 1000)
        processor.append((thread_time() - begun_cpu) * 1000)
    gc.enable()
    warm = min(5, rounds // 3)
    return durations[warm:], processor[warm:]


def growth(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return by how much the medians grow from the smallest to the largest size."""
    found = {}
    for kind in dict.fromkeys(row.database for row in rows):
        own = sorted((row for row in rows if row.database == kind), key=lambda row: row.studies)
        first, last = own[0], own[-1]
        found[kind] = {
            "claim": round(last.claim_p50_ms / first.claim_p50_ms, 2),
            "finish": round(last.finish_p50_ms / first.finish_p50_ms, 2),
            "status": round(last.status_p50_ms / first.status_p50_ms, 2),
        }
    return found

"""Measures durable instances per second of the listener, compared with dcmtk's storescp and Orthanc in one
run.

    python benchmarks/receive.py [--quick] [--json]

Each server gets the same objects from the same client on the same disk, one server at a time; the servers
take turns at each cell of the table, for several rounds of which the median counts, so that a change in the
machine's speed affects all of them. Ours answers after file, folder and database row are on the disk; the
others do not guarantee that. `storescp` is as packaged, `storescp-nodelay` has Nagle's algorithm switched
off. With `--json` the last line is `{rows, ratios {vs_storescp, vs_storescp-nodelay, vs_orthanc}, p99_ms,
rss_mb, load}`: the ratios are those of 10-MB objects over 4 associations, `p99_ms` is our worst p99 over all
rows up to 16 associations, `rss_mb` our peak at 25 associations, `load` the machine's load average before the
run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import percentile
from benchmarks.receive_client import Target, measure
from benchmarks.receive_servers import dcmtk_storescp, echo_agent, orthanc
from benchmarks.receive_stow_client import measure_stow

LARGE, SMALL = 10_000_000, 33_000
ASSOCIATIONS = (1, 4, 16)
CROWD = 25
ROUNDS = 3
OURS = "echo-agent"
Server = Callable[[Path], AbstractContextManager[tuple[Target, psutil.Process]]]
SERVERS: dict[str, Server] = {
    OURS: echo_agent,
    "storescp": dcmtk_storescp,
    "storescp-nodelay": partial(dcmtk_storescp, nodelay=True),
    "orthanc": orthanc,
    # The same objects over HTTP; compared with each other, not with C-STORE.
    "echo-agent-stow": partial(echo_agent, stow=True),
    "orthanc-stow": partial(orthanc, stow=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell of the table, the median of its rounds; times in ms, memory in MB."""

    server: str
    size_bytes: int
    associations: int
    nodelay: bool
    objects: int
    failures: int
    per_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer objects; for a first look")
    parser.add_argument("--json", action="store_true", help="the last line of the output is JSON")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this one; may be repeated")
    parser.add_argument("--folder", type=Path, default=Path("var"), help="where the servers write")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in _rows(arguments.server or list(SERVERS), arguments.folder, arguments.quick):
        rows.append(row)
        print(_line(row), flush=True)
    result = {"rows": [asdict(row) for row in rows], **_summary(rows), "load": round(load, 2)}
    print(" ".join(f"{key}={value}" for key, value in result.items() if key != "rows"))
    if arguments.json:
        print(json.dumps(result))


def _rows(names: list[str], parent: Path, quick: bool) -> Iterator[Row]:
    large, small = (16, 150) if quick else (80, 800)
    cells = [(LARGE, count, max(large, 2 * count)) for count in ASSOCIATIONS]
    cells += [(SMALL, count, small) for count in ASSOCIATIONS]
    cells.append((LARGE, CROWD, 2 * CROWD))
    for size, associations, objects in cells:
        rounds: dict[str, list[Row]] = {name: [] for name in names if associations < CROWD or name == OURS}
        for _ in range(ROUNDS if size == LARGE else 1):
            for name, measured in rounds.items():
                measured.append(_row(name, parent, size, associations, objects))
        yield from (_median(measured) for measured in rounds.values())


def _row(name: str, parent: Path, size: int, associations: int, objects: int) -> Row:
    with _folder(parent) as folder, SERVERS[name](folder) as (target, process):
        send = measure_stow if target.path else partial(measure, nodelay=True)
        send(target, size_bytes=SMALL, associations=1, objects=3, seed=2)
        with _peak_memory(process) as peak:
            result = send(target, size_bytes=size, associations=associations, objects=objects, seed=1)
    times = [1000 * one for one in result.acknowledgements]
    return Row(
        server=name,
        size_bytes=size,
        associations=associations,
        nodelay=True,
        objects=objects,
        failures=result.failures,
        per_second=round(objects / result.seconds, 2),
        p50_ms=round(statistics.median(times), 2),
        p99_ms=percentile(times, 0.99, 2),
        rss_mb=round(peak[0] / 1e6, 1),
    )


def _median(rounds: list[Row]) -> Row:
    """Return the median figures of the rounds; for failures the sum, for memory the peak."""
    return replace(
        rounds[0],
        failures=sum(row.failures for row in rounds),
        per_second=round(statistics.median(row.per_second for row in rounds), 2),
        p50_ms=round(statistics.median(row.p50_ms for row in rounds), 2),
        p99_ms=round(statistics.median(row.p99_ms for row in rounds), 2),
        rss_mb=max(row.rss_mb for row in rounds),
    )


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="receive-", dir=parent)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _peak_memory(process: psutil.Process) -> Iterator[list[int]]:
    """Sample a process's memory (bytes, with its children) every 20 ms; the list holds the peak."""
    peak, done = [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            try:
                family = [process, *process.children(recursive=True)]
                peak[0] = max(peak[0], sum(one.memory_info().rss for one in family))
            except psutil.NoSuchProcess:
                continue

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()


def _summary(rows: list[Row]) -> dict[str, object]:
    rates = {(row.server, row.size_bytes, row.associations): row.per_second for row in rows}
    ours = [row for row in rows if row.server == OURS]
    pairs = [(f"vs_{name}", OURS, name) for name in SERVERS if name != OURS and not name.endswith("-stow")]
    pairs.append(("stow_vs_orthanc", "echo-agent-stow", "orthanc-stow"))
    ratios = {
        key: round(rates[one, LARGE, 4] / rates[other, LARGE, 4], 2)
        for key, one, other in pairs
        if (one, LARGE, 4) in rates and (other, LARGE, 4) in rates
    }
    return {
        "ratios": ratios,
        "p99_ms": max((row.p99_ms for row in ours if row.associations <= max(ASSOCIATIONS)), default=None),
        "rss_mb": max((row.rss_mb for row in ours if row.associations == CROWD), default=None),
    }


def _line(row: Row) -> str:
    return (
        f"{row.server:<16} {row.size_bytes / 1e6:>6.2f} MB x {row.objects:<4} over {row.associations:>2}: "
        f"{row.per_second:>8.2f}/s   ack p50 {row.p50_ms:>8.2f} ms  p99 {row.p99_ms:>8.2f} ms   "
        f"rss {row.rss_mb:>7.1f} MB" + (f"   {row.failures} FAILED" if row.failures else "")
    )


if __name__ == "__main__":
    main()

"""Measures the worklist with 100,000 studies, over HTTP from a separate process, on SQLite and PostgreSQL.

    python benchmarks/worklist.py [--studies N] [--databases sqlite postgresql] [--rounds N] [--json]

Every request is one that the page sends, from a browser that keeps its connection: the whole page, and for
filter, search and order the rows that replace the list. Commits are durable, and each list that is shown is
audited first. `first_byte` is the time from the request to the head of the answer, `whole` to its last byte
(ms). With `--json` the last line is `{rows, worst, load}`: `worst` has the largest p95 of each kind of
request over all databases, `load` the machine's load average before the run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.database import migrate
from agent.database.session import Database, open_engine
from benchmarks.databases import durable_database
from benchmarks.figures import percentile, table_of
from benchmarks.worklist_fill import SOME_ACCESSION, SOME_NAME, fill
from benchmarks.worklist_server import serving

# Kind of request, its name, its address.
REQUESTS = (
    ("first page", "most urgent", "/"),
    ("filter", "a common finding", "/?finding=pleural_effusion"),
    ("filter", "a rare finding", "/?finding=pneumoperitoneum"),
    ("filter", "no positive finding", "/?finding=normal"),
    ("filter", "a mark", "/?flag=low_confidence"),
    ("filter", "two of them, by patient", "/?finding=pneumothorax&flag=low_confidence&order=patient"),
    ("filter", "critical", "/?urgent=critical"),
    ("filter", "accepted", "/?show=verified"),
    ("filter", "all studies", "/?show=all"),
    ("search", "a common name", f"/?q={SOME_NAME}"),
    ("search", "one accession number", f"/?q={SOME_ACCESSION}"),
    ("search", "two words", f"/?q={SOME_NAME}+P1"),
    ("search", "what nobody has", "/?q=xyzzy"),
    ("search", "a name with a finding, all", f"/?q={SOME_NAME}&finding=nodule&show=all"),
    ("order", "longest waiting", "/?order=waiting"),
    ("order", "last arrived", "/?order=arrival"),
    ("order", "patient", "/?order=patient"),
    ("order", "study time", "/?order=study"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request on one database; times in ms."""

    database: str
    studies: int
    kind: str
    request: str
    first_byte_p50_ms: float
    first_byte_p95_ms: float
    whole_p50_ms: float
    whole_p95_ms: float
    kilobytes: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000, help="studies with a draft")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--rounds", type=int, default=40, help="times that each request is sent")
    parser.add_argument("--json", action="store_true", help="a JSON object as the last line")
    arguments = parser.parse_args()
    load = os.getloadavg()
    console = Console()
    rows: list[Row] = []
    for kind in arguments.databases:
        with (
            tempfile.TemporaryDirectory(prefix="echo-agent-worklist-") as folder,
            durable_database(kind, folder) as url,
        ):
            database = Database(open_engine(url))
            migrate.upgrade(database)
            begun = perf_counter()
            fill(database, arguments.studies)
            database.close()
            console.print(f"{kind}: {arguments.studies} studies entered in {perf_counter() - begun:.0f} s")
            with serving(Path(folder), url) as port:
                rows += measure(kind, arguments.studies, port, arguments.rounds)
    records = [asdict(row) for row in rows]
    console.print(table_of("Worklist, times in ms", records))
    if arguments.json:
        print(json.dumps({"rows": records, "worst": worst(rows), "load": load}))


def measure(kind: str, studies: int, port: int, rounds: int) -> list[Row]:
    """Send every request once to warm up, then all of them in turn, so that all share the quiet moments."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    taken: dict[str, list[tuple[float, float]]] = {address: [] for _, _, address in REQUESTS}
    sizes: dict[str, int] = {}
    for number in range(rounds + 1):
        for group, _, address in REQUESTS:
            first, whole, sizes[address] = ask(connection, address, whole_page=group == "first page")
            if number:
                taken[address].append((first, whole))
    connection.close()
    return [
        Row(
            database=kind,
            studies=studies,
            kind=group,
            request=name,
            first_byte_p50_ms=percentile([first for first, _ in taken[address]], 0.50, 1),
            first_byte_p95_ms=percentile([first for first, _ in taken[address]], 0.95, 1),
            whole_p50_ms=percentile([whole for _, whole in taken[address]], 0.50, 1),
            whole_p95_ms=percentile([whole for _, whole in taken[address]], 0.95, 1),
            kilobytes=round(sizes[address] / 1000, 1),
        )
        for group, name, address in REQUESTS
    ]


def ask(connection: HTTPConnection, address: str, *, whole_page: bool) -> tuple[float, float, int]:
    """Send one request; return the times (ms) to the head and to the end of the answer, and its length."""
    begun = perf_counter()
    connection.request("GET", address, headers={} if whole_page else {"HX-Request": "true"})
    answer = connection.getresponse()
    first = perf_counter() - begun
    body = answer.read()
    whole = perf_counter() - begun
    if answer.status != 200:
        raise SystemExit(f"{address} was answered {answer.status}")
    return first * 1000, whole * 1000, len(body)


def worst(rows: list[Row]) -> dict[str, float]:
    """Return the largest p95 of the first byte for each kind of request."""
    kinds = dict.fromkeys(row.kind for row in rows)
    return {
        kind.replace(" ", "_") + "_ms": max(row.first_byte_p95_ms for row in rows if row.kind == kind)
        for kind in kinds
    }


if __name__ == "__main__":
    main()

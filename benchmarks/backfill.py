"""Does a backfill delay STAT studies? 100,000 studies are listed and 2,000 retrieved while some arrive.

    python benchmarks/backfill.py [--listed N] [--retrieved N] [--rounds N] [--quick] [--output FILE] [--json]

Phases with and without the backfill alternate in one run (`benchmarks.backfill_run`). Exit status 1 if the
99th percentile of the STAT latency grew by more than a fifth, if a study was lost or drafted twice, or if the
archive was queried more often than the budget allows. A pause replaces the network, so that the run measures
the queue and not the processor, for which a network without a GPU would compete.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import LogSettings
from benchmarks.backfill_account import ALLOWED
from benchmarks.backfill_run import Outcome, Plan, run
from benchmarks.figures import table_of

FULL = Plan(
    listed=100_000,
    retrieved=2_000,
    rounds=6,
    stat_s=1.0,
    quiet_s=1.0,
    draft_s=1.0,
    studies_per_minute=240,
    queries_per_minute=160,
    size=512,
    database="postgresql",
    longest_s=3000,
)
# For a test: everything happens once, and the percentiles are meaningless.
QUICK = replace(
    FULL,
    listed=300,
    retrieved=6,
    rounds=1,
    stat_s=0.5,
    quiet_s=0.3,
    draft_s=0.1,
    studies_per_minute=6000,
    queries_per_minute=6000,
    size=256,
    database="sqlite",
    longest_s=500,
)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--listed", type=int, default=FULL.listed, help="studies of the archive")
    parser.add_argument("--retrieved", type=int, default=FULL.retrieved, help="of these in Orthanc")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="phases of each kind")
    parser.add_argument("--per-minute", type=float, default=FULL.studies_per_minute, help="the budget")
    parser.add_argument(
        "--draft", type=float, default=FULL.draft_s, help="time (s) of a draft; 0: the network itself"
    )
    parser.add_argument("--stat", type=float, default=FULL.stat_s, help="time (s) between two STAT studies")
    parser.add_argument(
        "--longest", type=float, default=FULL.longest_s, help="the run ends after this time (s)"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default=FULL.database)
    parser.add_argument("--quick", action="store_true", help="a small run; its percentiles mean nothing")
    parser.add_argument("--output", type=Path, help="write the record, e.g. benchmarks/results/backfill.json")
    parser.add_argument("--hardware", default="", help="what it ran on, for the record")
    parser.add_argument("--json", action="store_true", help="the last line of the output is JSON")
    given = parser.parse_args()
    configure_logging(LogSettings(level="error"))
    plan = (
        QUICK
        if given.quick
        else replace(
            FULL,
            listed=given.listed,
            retrieved=given.retrieved,
            rounds=given.rounds,
            studies_per_minute=given.per_minute,
            draft_s=given.draft,
            database=given.database,
            stat_s=given.stat,
            longest_s=given.longest,
        )
    )
    load = os.getloadavg()
    outcome = run(plan)
    show(outcome)
    record = record_of(plan, outcome, given.hardware or f"{os.cpu_count()} CPUs", load)
    if given.output is not None:
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if given.json:
        print(json.dumps(record))
    return 0 if outcome.right(plan) else 1


def show(outcome: Outcome) -> None:
    """Print the latencies as a table, and the counts of the backfill."""
    rows = [asdict(one) for one in (outcome.without, outcome.beside)]
    Console().print(table_of("Latency of STAT studies (s)", rows))
    Console().print(table_of("Cores in use", outcome.cores))
    print(f"p99 with the backfill: {outcome.ratio:.3f} times the p99 without (at most {ALLOWED})")
    for name, value in _counts(outcome).items():
        print(f"{name.replace('_', ' ')}: {value}")


def record_of(plan: Plan, outcome: Outcome, hardware: str, load: tuple[float, ...]) -> dict[str, object]:
    """Return the record of a run."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": hardware,
        "command": "benchmarks/backfill.py",
        "plan": asdict(plan),
        "rows": [asdict(outcome.without), asdict(outcome.beside)],
        "ratio": outcome.ratio,
        "allowed": ALLOWED,
        "cores": outcome.cores,
        **_counts(outcome),
        "load": [round(one, 1) for one in load],
    }


def _counts(outcome: Outcome) -> dict[str, object]:
    return {
        name: value
        for name, value in asdict(outcome).items()
        if name not in ("without", "beside", "ratio", "cores")
    }


if __name__ == "__main__":
    sys.exit(main())

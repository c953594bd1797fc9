"""The worklist at the size of a busy site: the first page of searches, and a race of performers.

    python benchmarks/ups.py page [--items N] [--databases sqlite postgresql] [--rounds N] [--json]
    python benchmarks/ups.py race [--items N] [--json]

`page` fills a database with workitems (100,000 when left out) and measures the time (ms) until the first 50
answers of searches over UPS-RS are there, and of the same searches over C-FIND until its first response and
its first 50 are, with the processor time (ms) of the server; the load of the machine stands below.
`race` lets our performer and one written on npm's dcmjs-dimse take what they can of N workitems (1,000), and
counts how often each was claimed and completed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from benchmarks.figures import table_of
from benchmarks.ups_page import measure
from benchmarks.ups_race import race

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    """Run and print; return 1 if a workitem was not performed exactly once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("page", "race"))
    parser.add_argument("--items", type=int, help="workitems: 100,000 or 1,000 when left out")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--rounds", type=int, default=9, help="of each search; the median is shown")
    parser.add_argument("--json", action="store_true", help="the last line of the output is JSON")
    arguments = parser.parse_args()
    if arguments.what == "page":
        rows = [
            row
            for kind in arguments.databases
            for row in measure(kind, arguments.items or 100_000, arguments.rounds)
        ]
        right = True
    else:
        result = race(arguments.items or 1000)
        rows, right = [result], result["once"] == result["items"]
    console = Console()
    console.print(table_of(f"ups {arguments.what}", rows))
    console.print(f"load average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if arguments.json:
        print(json.dumps(rows))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

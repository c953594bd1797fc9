"""Many senders at once, PostgreSQL restarted in the middle and one site cut off: is anything lost?

    python benchmarks/hosts.py [--senders 200] [--sites 10] [--studies 5] [--workers 4] [--cut S] [--json]

Exit status 1 if a study was lost, drafted twice, or overtaken within its lane and site.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import LogSettings
from benchmarks.hosts_run import Plan, run


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--studies", type=int, default=5, help="of each sender")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--draft", type=float, default=0.05, help="time (s) that the network takes for one")
    parser.add_argument("--outage", type=float, default=10, help="time (s) without a database")
    parser.add_argument("--cut", type=float, default=120, help="time (s) without the first site")
    parser.add_argument("--longest", type=float, default=900, help="the run is given up after this time (s)")
    parser.add_argument("--json", action="store_true", help="the last line of the output is JSON")
    given = parser.parse_args()
    configure_logging(LogSettings(level="error"))
    load = os.getloadavg()[0]
    outcome = run(
        Plan(
            senders=given.senders,
            sites=given.sites,
            studies=given.studies,
            workers=given.workers,
            draft_s=given.draft,
            outage_s=given.outage,
            cut_s=given.cut,
            longest_s=given.longest,
        )
    )
    record = asdict(outcome) | {"load": round(load, 1)}
    for name, value in record.items():
        print(f"{name}: {value}")
    if given.json:
        print(json.dumps(record))
    return 0 if outcome.account.right else 1


if __name__ == "__main__":
    sys.exit(main())

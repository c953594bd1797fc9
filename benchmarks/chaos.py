"""Kill the agent's processes repeatedly, and count what was lost, doubled or hidden.

    python benchmarks/chaos.py [--kills N] [--database sqlite|postgresql|both] [--seed N] [--ups] [--json]

Real processes (`echo-agent listen`, `work`, `deliver`), the shipped network, a PACS that records everything
it receives and commits to it, and a modality that resends until it is acknowledged. Each role is
killed with SIGKILL at every failpoint in turn and at random moments; in between the PACS and the database
are stopped and the disk is full. With `--ups` a RIS orders every draft as a Unified Procedure Step and
watches the agent's worklist, and `echo-agent ups serve` is killed too. With `--json` the last line is
`{kills, acknowledged, lost, duplicates, invisible, undelivered, uncommitted, seconds}`, with `--ups` also
`{items, ups_lost, ups_twice, ups_wrong_outputs, ups_unheard}`. The exit status is 0 only if nothing was
lost, doubled, hidden, left undelivered or uncommitted, and no workitem lost, performed twice or misreported.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.chaos_run import ChaosResult, run

DATABASES = ("sqlite", "postgresql")
FAULTS = ("lost", "duplicates", "invisible", "undelivered", "uncommitted")
UPS_FAULTS = ("ups_lost", "ups_twice", "ups_wrong_outputs", "ups_unheard")


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="kills over all roles and databases")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--seed", type=int, default=1, help="of the phantoms and of the choices")
    parser.add_argument("--ups", action="store_true", help="with workitems, ordered and watched")
    parser.add_argument("--json", action="store_true", help="the last line of the output is JSON")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    kinds = DATABASES if arguments.database == "both" else (arguments.database,)
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="echo-agent-chaos-"))
    folder.mkdir(exist_ok=True)
    results = []
    for index, kind in enumerate(kinds):
        share = arguments.kills // len(kinds) + (index < arguments.kills % len(kinds))
        results.append(run(kind, share, arguments.seed, folder / kind, with_ups=arguments.ups))
        _print(results[-1])
    total = _total(results)
    right = not any(total.get(fault) for fault in (*FAULTS, *UPS_FAULTS))
    if right and arguments.keep is None:
        shutil.rmtree(folder)
    elif not right:
        print(f"logs and data: {folder}")
    if arguments.json:
        print(json.dumps(total))
    return 0 if right else 1


def _total(results: Sequence[ChaosResult]) -> dict[str, float]:
    accounts = [one.account for one in results]
    of_ups = [one.ups for one in results if one.ups is not None]
    counts = ("items", *UPS_FAULTS) if of_ups else ()
    return {
        "kills": sum(one.killed for one in results),
        "acknowledged": sum(one.acknowledged for one in accounts),
        **{fault: sum(getattr(one, fault) for one in accounts) for fault in FAULTS},
        **{count: sum(getattr(one, count) for one in of_ups) for count in counts},
        "seconds": round(sum(one.seconds for one in results), 1),
    }


def _print(result: ChaosResult) -> None:
    print(f"\n{result.database}: {result.killed} kills in {result.seconds} s")
    for role, places in result.kills.items():
        for place, count in sorted(places.items()):
            print(f"  {role:<10} {place:<28} {count:>4}")
        if result.ends[role]:
            print(f"  {role:<10} {'(ended by itself)':<28} {result.ends[role]:>4}")
    print(f"  around them: {'; '.join(result.troubles) or 'nothing'}")
    counted = result.account
    print(f"  acknowledged {counted.acknowledged}, sent again by the modality {result.refusals}")
    print(
        f"  lost {counted.lost}, duplicates {counted.duplicates}, invisible {counted.invisible}, "
        f"undelivered {counted.undelivered}, uncommitted {counted.uncommitted}; documents sent twice under "
        f"one UID {counted.copies}",
        flush=True,
    )
    if (ups := result.ups) is not None:
        print(
            f"  workitems {ups.items}: lost {ups.ups_lost}, twice {ups.ups_twice}, wrong outputs "
            f"{ups.ups_wrong_outputs}, unheard {ups.ups_unheard}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())

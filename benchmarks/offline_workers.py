"""How much faster two Ray workers are than one, with pauses in place of the network.

    python benchmarks/offline_workers.py [--studies N] [--pause S] [--rounds N] [--output FILE]

On a machine whose processors are occupied by one network, a second worker has nothing to compute with. So
each study is read, decoded, and written as documents by the functions of `echo-agent backfill --files`, but
the network's forward is a pause, as if every worker had its own GPU. Runs with one and two workers alternate.
The start of the cluster does not count: a rate is measured after the first result of each worker. Exit status
1 if two workers are less than 1.8 times as fast (median of the rounds), or a result differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pydicom import dcmwrite

from agent.commands.demo.phantom_study import phantom_study
from agent.commands.draft_files import DraftRun, draft_alone
from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import router_of
from agent.objects.header import read_stored
from benchmarks.pausing_reporter import PausingReporter
from model.evaluate.engines.engine import OfflineEngine, Workers
from model.evaluate.engines.run_groups import run_groups

LEAST = 1.8
_TAKEN = datetime(2020, 1, 1, tzinfo=UTC)
Group = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PausingDrafts:
    """Sets up a worker like `agent.commands.backfill_offline`, with a pause in place of the network."""

    pause_s: float

    def __call__(self) -> Any:
        """Return the function that a worker runs."""
        settings = Settings()
        reporter: Any = PausingReporter(slots=1, draft_s=self.pause_s)
        run = DraftRun(settings=settings, router=router_of(settings), reporter=reporter, moment=_TAKEN)

        def draft(group: Group) -> tuple[str, Mapping[str, bytes]]:
            uid, names = group
            files = [(path, read_stored(path)) for path in map(Path, names)]
            drafted, documents = draft_alone(uid, files, run)
            return drafted.state, documents

        return draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run: its workers, and studies a second once each of them had done one."""

    workers: int
    studies: int
    seconds: float
    per_second: float


def written(folder: Path, count: int) -> list[Group]:
    """Write phantom studies; return them as groups."""
    groups: list[Group] = []
    for seed in range(count):
        study = phantom_study(seed, number=seed, taken=_TAKEN, size=256)
        names = []
        for number, film in enumerate(study.instances):
            names.append(str(folder / f"{seed}-{number}.dcm"))
            dcmwrite(names[-1], film, enforce_file_format=True)
        groups.append((str(study.instances[0].StudyInstanceUID), tuple(names)))
    return groups


def timed(groups: Sequence[Group], pause_s: float, workers: int) -> tuple[Round, list[Any]]:
    """Draft all of them; return the rate and the results."""
    results, at = [], []
    for result in run_groups(
        groups, PausingDrafts(pause_s=pause_s), Workers(engine=OfflineEngine.RAY, count=workers, gpus=0)
    ):
        results.append(result)
        at.append(time.monotonic())
    counted, seconds = len(groups) - workers, at[-1] - at[workers - 1]
    return (
        Round(
            workers=workers,
            studies=counted,
            seconds=round(seconds, 2),
            per_second=round(counted / seconds, 3),
        ),
        results,
    )


def ratio_of(rounds: Sequence[Round]) -> float:
    """Return the speed-up of two workers: the median over the runs, each compared with the run of one
    before it.
    """
    pairs = zip(
        (one for one in rounds if one.workers == 1), (one for one in rounds if one.workers == 2), strict=True
    )
    return round(median(two.per_second / one.per_second for one, two in pairs), 3)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=30, help="of each run")
    parser.add_argument(
        "--pause", type=float, default=1.0, help="time (s) of a draft in place of the network"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--hardware", default=f"{os.cpu_count()} CPUs", help="for the record")
    parser.add_argument("--output", type=Path, help="e.g. benchmarks/results/offline-workers.json")
    given = parser.parse_args()
    load = os.getloadavg()
    rounds: list[Round] = []
    everything: list[list[Any]] = []
    with tempfile.TemporaryDirectory(prefix="echo-agent-offline-") as folder:
        groups = written(Path(folder), given.studies)
        for _ in range(given.rounds):
            for workers in (1, 2):
                one, results = timed(groups, given.pause, workers)
                rounds.append(one)
                everything.append(results)
                print(f"{workers} worker(s): {one.per_second} studies a second")
    ratio = ratio_of(rounds)
    same = all(one == everything[0] for one in everything)
    drafted = sum(state == "DRAFTED" for state, _documents in everything[0])
    print(
        f"two workers: {ratio} times one (at least {LEAST}); results are the same: {same}; drafted: {drafted}"
    )
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": given.hardware,
        "command": f"benchmarks/offline_workers.py --studies {given.studies} --pause {given.pause}",
        "rounds": [asdict(one) for one in rounds],
        "ratio": ratio,
        "least": LEAST,
        "drafted": drafted,
        "same_results": same,
        "load": [round(value, 1) for value in load],
    }
    if given.output is not None:
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if ratio >= LEAST and same and drafted == given.studies else 1


if __name__ == "__main__":
    sys.exit(main())

"""Measures reports per second of the real worker, and the share of its time outside the network.

    python benchmarks/worker.py [--studies N] [--slots N] [--database URL] [--checkpoint DIR] [--device cpu]
                                [--plot FILE.png] [--json]

Phantom studies are stored and queued as if they had been received; then the worker's own loop
(`agent.service.wiring.run_worker`, what `echo-agent work` runs) drafts them. Times are measured by wrapping
functions; nothing else is changed. Only the network's thread counts: everything it does outside the network,
including waiting, is time outside the model. The other threads run concurrently, and their times are shown
separately. With `--json` the last line is `{rows: [{studies, database, slots, threads, seconds,
reports_per_second, outside_share, network_ms, beside_ms}], load}`, times in ms a study.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from benchmarks.worker_run import Row, run


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="studies to draft")
    parser.add_argument("--slots", type=int, default=8, help="worker.slots")
    parser.add_argument(
        "--database", default="", help="SQLAlchemy URL of an empty database; SQLite when left out"
    )
    parser.add_argument("--checkpoint", type=Path, help="the shipped one when left out")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--size", type=int, default=1024, help="side of the films (px)")
    parser.add_argument("--plot", type=Path, help="write a picture of where the time went")
    parser.add_argument("--json", action="store_true", help="a JSON object as the last line")
    arguments = parser.parse_args()
    load = os.getloadavg()
    row = run(
        studies=arguments.studies,
        slots=arguments.slots,
        url=arguments.database,
        checkpoint=arguments.checkpoint,
        device=arguments.device,
        size=arguments.size,
    )
    Console().print(table_of(row))
    if arguments.plot is not None:
        plot(row, arguments.plot)
    if arguments.json:
        print(json.dumps({"rows": [asdict(row)], "load": load}))


def table_of(row: Row) -> Table:
    """Return how the time of one study is spent, as a table for the terminal."""
    title = (
        f"{row.studies} studies in {row.seconds:.1f} s: {row.reports_per_second:.2f} reports/s, "
        f"{row.outside_share:.1%} outside the model; {row.database}, {row.slots} slots, "
        f"{row.threads} threads"
    )
    table = Table(title=title)
    for name in ("thread", "stage", "ms a study"):
        table.add_column(name, justify="right" if name == "ms a study" else "left")
    for thread, stages in (("network", row.network_ms), ("beside it", row.beside_ms)):
        for stage, milliseconds in stages.items():
            table.add_row(thread, stage, f"{milliseconds:.1f}")
    return table


def plot(row: Row, path: Path) -> None:
    """Draw the stages of both kinds as bars from left to right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    for level, (thread, stages) in enumerate(
        (("beside it", row.beside_ms), ("network's thread", row.network_ms))
    ):
        left = 0.0
        for stage, milliseconds in stages.items():
            axes.barh(thread, milliseconds, left=left, label=stage)
            if milliseconds > 0.04 * sum(stages.values()):
                axes.text(left + milliseconds / 2, level, stage, ha="center", va="center", fontsize=8)
            left += milliseconds
    axes.set_xlabel("ms a study")
    axes.set_title(f"{row.reports_per_second:.2f} reports/s, {row.outside_share:.1%} outside the model")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()

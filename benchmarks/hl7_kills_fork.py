"""Starts the processes of `hl7_kills` as forks of one that has imported everything, which takes most of the
time of a start.

    python benchmarks/hl7_kills_fork.py CONFIG LOG

A line `ROLE FAILPOINT` (or `ROLE -`) on standard input starts `echo-agent ROLE`; the answer is its process id
and, once it has ended, its exit status (minus the signal that killed it).
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.commands.cli import app
from agent.foundation import failpoints

# The modules that the two commands import at their start.
IMPORTED = (
    "agent.operations.audit.process",
    "agent.delivery.commitment_reports",
    "agent.delivery.deliverer",
    "agent.retrieve.priors.fetch",
    "agent.receive.intake",
    "agent.receive.reconcile_files",
    "agent.receive.scp",
    "agent.ris.inbox",
    "agent.ris.server",
    "agent.service.http_server",
    "agent.service.ticks",
    "agent.service.wiring",
)


def become(role: str, place: str, config: str, log: str) -> None:
    """Run the command in this process; never returns."""
    if place != "-":
        os.environ[failpoints.VARIABLE] = place
        importlib.reload(failpoints)  # it reads the environment once
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    status = 1
    try:
        app([role, "--config", config], standalone_mode=False)
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    """Serve until the input ends."""
    config, log = sys.argv[1:]
    for name in IMPORTED:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        role, place = line.split()
        child = os.fork()
        if child == 0:
            become(role, place, config, log)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

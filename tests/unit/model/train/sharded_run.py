"""Processes that train a recipe's stages together.

    sharded_run.py RECIPE STAGES KILL_AFTER     one of them; torch's variables say which

Importing torch takes seconds and a fork takes none, so a test may start several groups of processes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from agent.commands.demo.orthanc import free_ports
from model.train.config import load_training_config
from model.train.parallel import leave_processes
from model.train.recipe import Recipe
from tests.support.warm_python import WarmPopen


def run_stages(recipe: Path, stages: str, processes: int, kill_after: int = 0) -> list[int]:
    """Run stages in so many processes and return their exit codes.

    kill_after: the first process kills itself once it has done so many steps, or rolled out so many
    studies; the others are then killed.
    """
    command = [sys.executable, __file__, str(recipe), stages, str(kill_after)]
    group = [WarmPopen(command, env=os.environ | one) for one in variables(processes)]
    if group[0].wait(timeout=250) != 0:
        for process in group:
            process.kill()
    return [process.wait(timeout=60) for process in group]


def variables(processes: int) -> list[dict[str, str]]:
    """Return what torch's launcher sets in each process of a group on this machine."""
    (port,) = free_ports(1)
    group = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def main(recipe: str, stages: str, kill_after: str) -> None:
    """Train stages as one process of a group."""
    torch.set_num_threads(1)

    def report(record: Mapping[str, float | int | str]) -> None:
        if int(kill_after) and int(kill_after) in (record.get("step"), record.get("studies")):
            os.kill(os.getpid(), signal.SIGKILL)

    for stage in stages.split(","):
        Recipe(load_training_config(Path(recipe)), clock=lambda: 0.0, report=report).run(stage)
    leave_processes()


if __name__ == "__main__":
    main(*sys.argv[1:])

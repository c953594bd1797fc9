"""Processes that run a recipe's stages together."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import torch

from agent.commands.demo.orthanc import free_ports
from model.train.config import load_training_config
from model.train.parallel import leave_processes
from model.train.recipe import Recipe
from tests.support.forks import FORKS


def run_stages(recipe: Path, stages: str, processes: int, kill_after: int = 0) -> list[int]:
    """Runs stages in the given number of processes and returns their exit codes.

    kill_after: the number of steps, or of rolled-out studies, after which the first process kills itself;
    the others are then killed.
    """
    (port,) = free_ports(1)
    group = [
        FORKS.Process(target=_run, args=(recipe, stages, kill_after, rank, processes, port))
        for rank in range(processes)
    ]
    for process in group:
        process.start()
    group[0].join(timeout=250)
    if group[0].exitcode != 0:
        for process in group:
            process.kill()
    for process in group:
        process.join(timeout=60)
    return [int(process.exitcode if process.exitcode is not None else 1) for process in group]


def _run(recipe: Path, stages: str, kill_after: int, rank: int, processes: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def report(record: Mapping[str, float | int | str]) -> None:
        if kill_after and kill_after in (record.get("step"), record.get("studies")):
            os.kill(os.getpid(), signal.SIGKILL)

    for stage in stages.split(","):
        Recipe(load_training_config(recipe), clock=lambda: 0.0, report=report).run(stage)
    leave_processes()

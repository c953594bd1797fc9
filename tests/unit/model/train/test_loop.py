"""The loop: an interrupted run ends in the same bits, and several processes give one process's loss."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from model.train.config import RadConfig
from model.train.loop import Machine, Report, train
from model.train.stages import Materials, RadStage

CONFIG = RadConfig(
    steps=4, batch=4, rate=1e-3, warmup=1, save_every=2, validate_every=4, validation_examples=2
)


class _Stopped(Exception):
    """Stands for a run that is killed."""


def _stop_after(steps: int) -> Report:
    def report(record: Mapping[str, float | int | str]) -> None:
        if record["step"] == steps:
            raise _Stopped

    return report


def _weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def _ignore(_: Mapping[str, float | int | str]) -> None:
    """Progress that nobody watches."""


def test_resumed_training_equals_uninterrupted_training(
    make_materials: Callable[[], Materials], machine: Machine, tmp_path: Path
) -> None:
    """A run that is killed after a save and started again writes bit for bit the same weights and log."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(RadStage(make_materials(), CONFIG), CONFIG, whole, machine=machine, report=_ignore)
    with pytest.raises(_Stopped):
        train(RadStage(make_materials(), CONFIG), CONFIG, broken, machine=machine, report=_stop_after(3))
    train(RadStage(make_materials(), CONFIG), CONFIG, broken, machine=machine, report=_ignore)

    assert _weights(whole) == _weights(broken)
    losses = [
        [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (whole, broken)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_micro_batches_change_nothing_but_rounding(
    make_materials: Callable[[], Materials], machine: Machine, tmp_path: Path
) -> None:
    """Gradients are summed over the parts of a batch."""
    losses = []
    for number, micro in enumerate((None, 1)):
        config = CONFIG.model_copy(update={"micro_batch": micro, "steps": 2})
        folder = tmp_path / str(number)
        train(RadStage(make_materials(), config), config, folder, machine=machine, report=_ignore)
        losses.append([json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()])

    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_two_processes_give_the_loss_of_one(tmp_path: Path) -> None:
    """Through accelerate and gloo: cut over two processes, a step's loss and its update stay the same."""
    script = Path(__file__).with_name("two_processes.py")
    results = []
    for processes in (1, 2):
        launcher = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={processes}",
        ]
        done = subprocess.run(
            [*launcher, str(script), str(tmp_path / str(processes))],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        log = (tmp_path / str(processes) / "log.jsonl").read_text().splitlines()
        results.append([json.loads(line)["loss"] for line in log])

    assert torch.allclose(torch.tensor(results[0]), torch.tensor(results[1]), rtol=1e-4)
    assert len(results[1]) == 3

"""The loop: a resumed run gives identical weights, and several processes give the loss of one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from model.train.config import RadConfig
from model.train.loop import DivergedError, Machine, Report, train
from model.train.stages import Materials, RadStage
from tests.support.warm_python import WarmPopen
from tests.unit.model.train import two_processes
from tests.unit.model.train.sharded_run import variables

CONFIG = RadConfig(
    steps=4, batch=4, rate=1e-3, warmup=1, save_every=2, validate_every=4, validation_examples=2
)


class _Stopped(Exception):
    """Raised to simulate a killed run."""


def _stop_after(steps: int) -> Report:
    def report(record: Mapping[str, float | int | str]) -> None:
        if record["step"] == steps:
            raise _Stopped

    return report


def _weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def _ignore(_: Mapping[str, float | int | str]) -> None:
    """Ignore progress."""


def test_resumed_training_equals_uninterrupted_training(
    make_materials: Callable[[], Materials], machine: Machine, tmp_path: Path
) -> None:
    """A run that is killed after a save and restarted writes bit-identical weights and the same log."""
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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_would_destroy_the_weights_is_not_taken(
    make_materials: Callable[[], Materials], machine: Machine, tmp_path: Path, value: float
) -> None:
    """A loss that is not finite ends the run; the error names the step and the state to continue from."""
    broken = tmp_path / "broken"
    stage = RadStage(make_materials(), CONFIG)

    def damage(record: Mapping[str, float | int | str]) -> None:
        if record["step"] == 3:  # a state was saved after step 2
            with torch.no_grad():
                stage.objective.get_parameter("backbone.network.lm_head.weight").fill_(value)

    with pytest.raises(
        DivergedError, match=r"rad, step 4: the loss is (nan|inf).* the state after step 2 is"
    ):
        train(stage, CONFIG, broken, machine=machine, report=damage)
    train(RadStage(make_materials(), CONFIG), CONFIG, broken, machine=machine, report=_ignore)
    train(RadStage(make_materials(), CONFIG), CONFIG, tmp_path / "whole", machine=machine, report=_ignore)

    assert _weights(broken) == _weights(tmp_path / "whole")


def test_two_processes_give_the_loss_of_one(machine: Machine, tmp_path: Path) -> None:
    """Through accelerate and gloo: split over two processes, a step has the same loss and the same update."""
    command = [sys.executable, two_processes.__file__, str(tmp_path / "two")]
    group = [WarmPopen(command, env=os.environ | one) for one in variables(2)]
    assert [process.wait(timeout=280) for process in group] == [0, 0]
    train(two_processes.Toy(), two_processes.CONFIG, tmp_path / "one", machine=machine, report=_ignore)

    one, two = (
        [json.loads(line)["loss"] for line in (tmp_path / count / "log.jsonl").read_text().splitlines()]
        for count in ("one", "two")
    )
    assert len(two) == 3
    assert one == pytest.approx(two, rel=1e-4)

"""Run by `test_loop.py` in each of two processes: three steps of a toy regression through the loop."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from model.train.config import StageConfig
from model.train.loop import Batch, Machine, leave_processes, train
from model.train.parallel import Processes


class Regression(nn.Module):
    """Fits y = x W; the loss is a share of the batch's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, part: Batch) -> Tensor:
        error = self.line(part.rows["x"]).squeeze(1) - part.rows["y"]
        return (error**2).sum() / part.total


class Toy:
    """A stage with six examples per step."""

    name = "toy"
    layers = ()

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.objective: nn.Module = Regression()

    def batch(self, step: int, share: range) -> Batch:
        chance = torch.Generator().manual_seed(step)
        x = torch.randn(6, 3, generator=chance)[share.start : share.stop]
        return Batch(rows={"x": x, "y": x.sum(dim=1)}, total=6)

    def validate(self, processes: Processes) -> Mapping[str, float]:
        return {}

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None:
        torch.save(dict(state), directory / "weights.pt")


CONFIG = StageConfig(steps=3, batch=6, rate=1e-2, warmup=1)

if __name__ == "__main__":
    machine = Machine(processes=Processes.join(), clock=lambda: 0.0)
    train(Toy(), CONFIG, Path(sys.argv[1]), machine=machine, report=lambda record: None)
    leave_processes()

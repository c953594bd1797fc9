"""The training loop: fixed steps, resumable exactly, in one process or many.

A stage defines a step's batch (a pure function of the step) and the loss of a part of it; the loop does
everything that the stages have in common. Each process builds its own share of a batch; values that must be
the same in all shares (noise, lengths) are drawn for the whole batch, so that the loss and its gradient do
not depend on the number of processes.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from model.errors import ModelError
from model.train.config import StageConfig
from model.train.loader import loading
from model.train.optimizers import build_optimizers
from model.train.parallel import (
    ParallelError,
    Precision,
    Processes,
    clip,
    gathered,
    leave_processes,
    load_state,
    save_state,
    shard,
    whole_state,
)
from model.train.schedule import rate_factor

__all__ = ["Batch", "Report", "TrainingStage", "leave_processes", "train"]

Report = Callable[[Mapping[str, float | int | str]], None]
Row = Tensor | list[Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One process's share of a step's examples.

    rows: cut along dimension 0; a list holds one tensor per example, of any size. shared: passed
    whole to every part. total: examples of the whole step. tokens, images: of this share, for the reported
    rates. cut: answers that were cut to the maximum length.
    """

    rows: Mapping[str, Row]
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    total: int
    tokens: int = 0
    images: int = 0
    cut: int = 0

    @property
    def size(self) -> int:
        return len(next(iter(self.rows.values())))

    def part(self, start: int, stop: int) -> Batch:
        rows = {name: row[start:stop] for name, row in self.rows.items()}
        return Batch(rows=rows, shared=self.shared, total=self.total)

    def to(self, device: torch.device) -> Batch:
        return Batch(
            rows={name: _moved(row, device) for name, row in self.rows.items()},
            shared={name: row.to(device) for name, row in self.shared.items()},
            total=self.total,
        )


def _moved(row: Row, device: torch.device) -> Row:
    return [one.to(device) for one in row] if isinstance(row, list) else row.to(device)


class DivergedError(ModelError):
    """The loss or its gradient is not a finite number, so a step would destroy the weights.

    Continue from the last saved state with a lower `rate` or a longer `warmup`.
    """

    code = "diverged"
    retryable = False


class TrainingStage(Protocol):
    """The part that differs between the stages. `objective(batch)` is a part's share of the step's loss.

    layers: the parts of the objective that are gathered one at a time when it is sharded.
    """

    name: str
    objective: nn.Module

    @property
    def layers(self) -> Sequence[nn.Module]: ...

    def batch(self, step: int, share: range) -> Batch: ...

    def validate(self, processes: Processes) -> Mapping[str, float]: ...

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How a run uses its processes; `clock`: monotonic seconds, for rates and the remaining time."""

    processes: Processes
    clock: Callable[[], float]
    precision: Precision = "float32"
    workers: int = 2


def train(
    stage: TrainingStage, config: StageConfig, directory: Path, *, machine: Machine, report: Report
) -> None:
    """Runs a stage to its last step, or continues where an interrupted run stopped.

    Args:
        stage: batches, loss, validation and how to save.
        config: steps, batch, rate and intervals.
        directory: receives `log.jsonl`, `state/` while it runs, and the checkpoint at the end.
        machine: processes, precision, workers.
        report: receives each step's record in the first process.

    Raises:
        ParallelError if the batch or the optimiser does not fit the processes; DivergedError.
    """
    processes = machine.processes
    share = _share(config, processes, machine.precision)
    shard(stage.objective, stage.layers, processes, machine.precision)
    optimizers = build_optimizers(stage.objective, config)
    if processes.first:
        directory.mkdir(parents=True, exist_ok=True)
    first = _resume(stage.objective, optimizers, directory)
    log = _Log(directory / "log.jsonl", first, machine, report)
    with loading(
        lambda s: stage.batch(s, share), range(first, config.steps), machine.workers, machine.clock
    ) as loader:
        for step in range(first, config.steps):
            rate = config.rate * rate_factor(
                step, steps=config.steps, warmup=config.warmup, decay=config.decay
            )
            batch = loader.next()
            loss, norm = _gradients(stage.objective, batch, config, processes)
            _require_finite(stage.name, step, (loss, norm, rate), directory)
            _update(optimizers, rate)
            checked: Mapping[str, float] = {}
            if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
                with gathered(stage.objective):
                    checked = stage.validate(processes)
            log.add(stage.name, step, config.steps, batch, (loss, norm, rate), loader.seconds_waited, checked)
            if (step + 1) % config.save_every == 0 and step + 1 < config.steps:
                _save(stage.objective, optimizers, directory, step + 1, processes)
    state = whole_state(stage.objective)
    if processes.first:
        stage.save(state, directory)
        shutil.rmtree(directory / "state", ignore_errors=True)
    processes.wait()


def _share(config: StageConfig, processes: Processes, precision: Precision) -> range:
    """This process's part of every batch."""
    if config.batch % processes.count:
        raise ParallelError(
            f"a batch of {config.batch} cannot be shared equally by {processes.count} processes; "
            f"make `batch` a multiple of {processes.count}"
        )
    if config.optimizer == "muon" and (processes.count > 1 or precision == "bfloat16"):
        raise ParallelError("muon does not work on sharded weights; set `optimizer: adamw`")
    return processes.share(config.batch)


def _gradients(
    objective: nn.Module, batch: Batch, config: StageConfig, processes: Processes
) -> tuple[float, float]:
    """The loss of the whole batch, and its clipped gradient; returns the loss and the gradient's norm."""
    total = torch.zeros((), device=processes.device)
    for part in _parts(
        batch, config.micro_batch
    ):  # each part exchanges its gradients: the unsharded gradients of all layers would not fit
        loss = objective(part.to(processes.device))
        # FSDP averages the gradients over the processes; the loss is a share of one sum.
        (loss * processes.count).backward()
        total += loss.detach()
    norm = clip([p for p in objective.parameters() if p.requires_grad], config.clip)
    return processes.sum(total), norm


def _update(optimizers: Sequence[Optimizer], rate: float) -> None:
    """Changes the weights by their gradients."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()


def _require_finite(name: str, step: int, figures: tuple[float, float, float], directory: Path) -> None:
    """Checks that a step can be taken. step: 0-based; figures: loss, gradient norm and rate.

    Raises:
        DivergedError.
    """
    loss, norm, rate = figures
    if math.isfinite(loss) and math.isfinite(norm):
        return
    kept = max(_states(directory), default=0)
    state = f"the state after step {kept} is kept" if kept else "no state is saved"
    raise DivergedError(
        f"{name}, step {step + 1}: the loss is {loss:.3g} and its gradient's norm {norm:.3g} "
        f"at rate {rate:.2g}; the step was not taken, and {state}. "
        "Lower `rate` or lengthen `warmup`, and start the same command again. If it is so at the first step, "
        "the weights or the images hold values that are not finite"
    )


def _parts(batch: Batch, micro_batch: int | None) -> Iterator[Batch]:
    """This process's share of the batch, in parts of at most `micro_batch` examples."""
    size = micro_batch or batch.size
    for low in range(0, batch.size, size):
        yield batch.part(low, min(batch.size, low + size))


class _Log:
    """The run's `log.jsonl`: one record per step, with rates over the time since this process started."""

    def __init__(self, file: Path, first: int, machine: Machine, report: Report) -> None:
        self._file, self._first, self._machine, self._report = file, first, machine, report
        self._started = machine.clock()
        self._tokens = self._images = self._cut = 0
        if machine.processes.first:
            _rewind(file, first)

    def add(
        self,
        name: str,
        step: int,
        steps: int,
        batch: Batch,
        figures: tuple[float, float, float],
        waited: float,
        checked: Mapping[str, float],
    ) -> None:
        """Writes the record of 0-based `step`; figures: loss, gradient norm and rate."""
        count = self._machine.processes.count
        self._tokens += batch.tokens * count
        self._images += batch.images * count
        self._cut += batch.cut * count
        if not self._machine.processes.first:
            return
        elapsed = max(self._machine.clock() - self._started, 1e-9)
        loss, norm, rate = figures
        record: dict[str, float | int | str] = {
            "stage": name,
            "step": step + 1,
            "loss": loss,
            "norm": norm,
            "rate": rate,
            "tokens": batch.tokens * count,
            "tokens_per_second": self._tokens / elapsed,
            "images_per_second": self._images / elapsed,
            "waiting": min(1.0, waited / elapsed),
            "cut_answers": self._cut,
            "seconds_left": elapsed / (step + 1 - self._first) * (steps - step - 1),
        }
        record |= {f"validation_{key}": value for key, value in checked.items()}
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        self._report(record)


def _save(
    objective: nn.Module, optimizers: Sequence[Optimizer], directory: Path, step: int, processes: Processes
) -> None:
    """Writes everything that the next step depends on, completely or not at all."""
    fresh, kept = directory / f"state.{step}", directory / "state"
    if processes.first:  # the remains of a state after a killed run or a full disk
        for left in directory.glob("state.*"):
            if not (left / "step.json").exists():
                shutil.rmtree(left, ignore_errors=True)
    processes.wait()
    save_state(objective, optimizers, fresh)
    processes.wait()
    if processes.first:
        (fresh / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
        for older in directory.glob("state.*"):
            shutil.rmtree(older, ignore_errors=True)
    processes.wait()


def _resume(objective: nn.Module, optimizers: Sequence[Optimizer], directory: Path) -> int:
    """Restores an interrupted run; returns the number of steps already done.

    A complete state that was not yet in place when the run was killed counts too.
    """
    done = _states(directory)
    if not done:
        return 0
    load_state(objective, optimizers, done[max(done)])
    return max(done)


def _states(directory: Path) -> dict[int, Path]:
    """The complete states of a run, by the number of steps done."""
    found = [*directory.glob("state.*/step.json"), *directory.glob("state/step.json")]
    return {int(json.loads(file.read_text(encoding="utf-8"))["step"]): file.parent for file in found}


def _rewind(log: Path, steps: int) -> None:
    """Drops the records of steps that will be run again, and an incomplete last line."""
    if log.exists():
        whole = [
            line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
        ]
        log.write_text("".join(line for line in whole if json.loads(line)["step"] <= steps), encoding="utf-8")

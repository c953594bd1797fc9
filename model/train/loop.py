"""The training loop: fixed steps, resumable exactly, one process or many through accelerate.

A stage says what a step's batch is (a pure function of the step) and what the loss of a part of it is;
the loop does everything that the stages have in common. A batch is built whole by every process and
then cut, so that the loss and its gradient are those of one process, however many there are.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from model.train.config import StageConfig
from model.train.optimizers import build_optimizers
from model.train.schedule import rate_factor

Report = Callable[[Mapping[str, float | int | str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One step's examples. `rows` are cut along dimension 0, `shared` go to every part whole."""

    rows: Mapping[str, Tensor]
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    tokens: int = 0  # trained sequence tokens, for the rate that is reported

    @property
    def size(self) -> int:
        return len(next(iter(self.rows.values())))

    def part(self, start: int, stop: int) -> Batch:
        return Batch(rows={k: v[start:stop] for k, v in self.rows.items()}, shared=self.shared)

    def to(self, device: torch.device) -> Batch:
        rows = {k: v.to(device) for k, v in self.rows.items()}
        return Batch(rows=rows, shared={k: v.to(device) for k, v in self.shared.items()}, tokens=self.tokens)


class Stage(Protocol):
    """What differs between the stages. `objective(batch, total)` is the part's share of the step's loss."""

    name: str
    objective: nn.Module

    def batch(self, step: int) -> Batch: ...

    def validate(self) -> Mapping[str, float]: ...

    def save(self, state: Mapping[str, Tensor], directory: Path) -> None: ...


def train(
    stage: Stage, config: StageConfig, directory: Path, *, clock: Callable[[], float], report: Report
) -> None:
    """Runs a stage to its last step, or goes on where an interrupted run stopped.

    Args:
        stage: batches, loss, validation and how to save.
        config: steps, batch, rate and intervals.
        directory: receives `log.jsonl`, `state/` while it runs, and the checkpoint at the end.
        clock: monotonic seconds, for rates and the time left.
        report: receives each step's record on the main process.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    optimizers = build_optimizers(stage.objective, config)
    objective, *prepared = accelerator.prepare(stage.objective, *optimizers)
    log = directory / "log.jsonl"
    if accelerator.is_main_process:
        directory.mkdir(parents=True, exist_ok=True)
    first = _resume(accelerator, directory)
    if accelerator.is_main_process:
        _rewind_log(log, first)
    started = clock()
    trained_tokens = 0
    for step in range(first, config.steps):
        factor = rate_factor(step, steps=config.steps, warmup=config.warmup, decay=config.decay)
        for optimizer in prepared:
            for group in optimizer.param_groups:
                group["lr"] = config.rate * factor
        batch = stage.batch(step)
        loss, norm = _step(accelerator, objective, prepared, batch, config)
        trained_tokens += batch.tokens
        elapsed = clock() - started
        record: dict[str, float | int | str] = {
            "stage": stage.name,
            "step": step + 1,
            "loss": loss,
            "norm": norm,
            "rate": config.rate * factor,
            "tokens_per_second": trained_tokens / max(elapsed, 1e-9),
            "seconds_left": elapsed / (step + 1 - first) * (config.steps - step - 1),
        }
        if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
            record |= {f"validation_{k}": v for k, v in stage.validate().items()}
        if accelerator.is_main_process:
            with log.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
            report(record)
        if (step + 1) % config.save_every == 0 and step + 1 < config.steps:
            _save_state(accelerator, directory, step + 1)
    state = accelerator.get_state_dict(objective)
    if accelerator.is_main_process:
        stage.save(state, directory)
        shutil.rmtree(directory / "state", ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.end_training()


def _step(
    accelerator: Accelerator,
    objective: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    batch: Batch,
    config: StageConfig,
) -> tuple[float, float]:
    """One optimiser step over the whole batch; returns its loss and the gradient's norm."""
    own = list(_own_parts(batch, accelerator, config.micro_batch))
    total = torch.zeros((), device=accelerator.device)
    for number, part in enumerate(own):
        last = number + 1 == len(own)
        with accelerator.no_sync(objective) if not last else nullcontext():
            loss = objective(part.to(accelerator.device), batch.size)
            # Gradients are averaged over the processes; the loss is a share of one sum.
            accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    norm = accelerator.clip_grad_norm_(objective.parameters(), config.clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    summed = accelerator.reduce(total, reduction="sum")
    return float(summed), float(norm) if norm is not None else 0.0


def _own_parts(batch: Batch, accelerator: Accelerator, micro_batch: int | None) -> Iterator[Batch]:
    """This process's share of the batch, in parts of at most `micro_batch` examples."""
    share = batch.size // accelerator.num_processes
    start = accelerator.process_index * share
    stop = batch.size if accelerator.is_last_process else start + share
    for low in range(start, stop, micro_batch or max(1, stop - start)):
        yield batch.part(low, min(stop, low + (micro_batch or stop)))


def _save_state(accelerator: Accelerator, directory: Path, step: int) -> None:
    """Writes everything that the next step depends on, whole or not at all."""
    fresh, kept = directory / "state.new", directory / "state"
    accelerator.save_state(str(fresh))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (fresh / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
    accelerator.wait_for_everyone()


def _resume(accelerator: Accelerator, directory: Path) -> int:
    """Restores an interrupted run; returns the number of steps already done."""
    progress = directory / "state" / "step.json"
    if not progress.exists():
        return 0
    accelerator.load_state(str(directory / "state"))
    return int(json.loads(progress.read_text(encoding="utf-8"))["step"])


def _rewind_log(log: Path, steps: int) -> None:
    """Drops the records of steps that will be run again."""
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= steps]
        log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def leave_processes() -> None:
    """Ends this process where there are several, after waiting for the others: the last thing a program does.

    A process that exits while another one still talks to it breaks that one; and gloo's threads may outlive
    their group, upon which the interpreter's own way out aborts. So the process parts here, with success.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

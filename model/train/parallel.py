"""Training in several processes: sharded weights (FSDP2), the same loss as one process, states that resume.

Trained parameters are sharded over the processes, with one unit per decoder layer and one for the rest; a
frozen vision tower is not sharded but kept in the forward's precision by every process. A batch is divided
among the processes; FSDP averages the gradients, and each process scales its share of the loss accordingly.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from model.errors import ModelError

Precision = Literal["float32", "bfloat16"]


class ParallelError(ModelError):
    """The batch or the optimiser does not fit the number of processes. Change the stage's settings."""

    code = "parallel"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """This process as one of those that train together."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls) -> Self:
        """Joins the processes started by torch's launcher; a single process if there are none."""
        count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local)
        if count > 1 and not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
        device = torch.device("cuda", local) if cuda else torch.device("cpu")
        return cls(rank=rank, count=count, device=device)

    @property
    def first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def wait(self) -> None:
        """Returns once every process has reached this call."""
        if self.count > 1:
            dist.barrier()

    def sum(self, value: Tensor) -> float:
        """The sum of a number over all processes."""
        if self.count > 1:
            dist.all_reduce(value)
        return float(value)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in order of rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def share(self, total: int) -> range:
        """This process's part of `total` items: consecutive, and of nearly equal size."""
        return range(total * self.rank // self.count, total * (self.rank + 1) // self.count)


def shard(
    objective: nn.Module, layers: Sequence[nn.Module], processes: Processes, precision: Precision
) -> None:
    """Shards an objective in place if there are several processes or two precisions.

    layers: the units that are gathered one at a time; the rest of the objective is one unit, present
    for the whole step. A module of frozen parameters only is left out.
    """
    if processes.count == 1 and precision == "float32":
        return
    policy = MixedPrecisionPolicy(
        param_dtype=getattr(torch, precision), reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    mesh = _mesh(processes)
    for layer in layers:  # one at a time, so that only one is unsharded in float32
        _keep_master(layer)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    inside = {parameter for layer in layers for parameter in layer.parameters()}
    rest = set(objective.parameters()) - inside
    _keep_master(objective)
    frozen = {parameter for parameter in rest if not parameter.requires_grad}
    fully_shard(objective, mesh=mesh, mp_policy=policy, ignored_params=frozen)


def _keep_master(module: nn.Module) -> None:
    """Converts trained parameters that are not sharded yet to float32, for the optimiser."""
    for parameter in module.parameters():
        if parameter.requires_grad and not isinstance(parameter, DTensor):
            parameter.data = parameter.data.float()


def _mesh(processes: Processes) -> DeviceMesh:
    if not dist.is_initialized():  # one process that needs FSDP's two precisions
        backend = "nccl" if processes.device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    return init_device_mesh(processes.device.type, (processes.count,))


@contextmanager
def gathered(objective: nn.Module) -> Iterator[None]:
    """Gathers all weights in every process, so that each can decode its own studies independently."""
    units = [module for module in objective.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        for number, unit in enumerate(units):
            unit.reshard()
            unit.set_reshard_after_forward(number > 0, recurse=False)


def clip(parameters: Sequence[nn.Parameter], largest: float) -> float:
    """Clips the gradients' norm over all processes and returns what it was."""
    norm = nn.utils.clip_grad_norm_(parameters, largest)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def whole_state(objective: nn.Module) -> Mapping[str, Tensor]:
    """The objective's tensors, unsharded, on the CPU; complete in the first process only."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: Mapping[str, Tensor] = get_model_state_dict(objective, options=options)  # type: ignore[assignment]
    return state


def save_state(objective: nn.Module, optimizers: Sequence[Optimizer], folder: Path) -> None:
    """Writes the trained parameters and the optimisers; every process writes its shards."""
    with _alone_without_a_word():
        dcp.state_dict_saver.save(
            _state(objective, optimizers), checkpoint_id=folder, no_dist=not dist.is_initialized()
        )


def load_state(objective: nn.Module, optimizers: Sequence[Optimizer], folder: Path) -> None:
    """Reads what `save_state` wrote, even if the number of processes has changed."""
    state = _state(objective, optimizers)
    with _alone_without_a_word():
        dcp.state_dict_loader.load(state, checkpoint_id=folder, no_dist=not dist.is_initialized())
    set_state_dict(
        objective,
        list(optimizers),
        model_state_dict=state["model"],
        optim_state_dict=state["optimizers"],
        options=_TRAINED,
    )


@contextmanager
def _alone_without_a_word() -> Iterator[None]:
    """torch warns whenever a single process writes or reads a state; here that is intended."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)


def _state(objective: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Any]:
    model, optimizer = get_state_dict(objective, list(optimizers), options=_TRAINED)
    return {"model": model, "optimizers": optimizer}


def leave_processes() -> None:
    """Ends this process if there are several, after waiting for the others; to be called last in a program.

    A process that is alone only leaves its group.

    A process that exits while another one still communicates with it breaks that one; and gloo's threads may
    outlive their group, which makes the interpreter's normal exit abort. So the process ends here, with
    success.
    """
    if dist.is_available() and dist.is_initialized():
        if dist.get_world_size() == 1:
            dist.destroy_process_group()
            return
        dist.barrier()
        dist.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

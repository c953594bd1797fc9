"""Optimisers of a stage: AdamW, or Muon for the matrices of the layers with AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import AdamW, Muon, Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from model.train.config import StageConfig

BETAS = (0.9, 0.98)


def build_optimizers(module: nn.Module, config: StageConfig) -> list[Optimizer]:
    """Returns the optimisers for the parameters that are not frozen.

    Vectors (norms, biases) and embeddings get no weight decay. Muon orthogonalises a matrix's update; it
    trains a small network in fewer steps, but does not support sharded parameters (FSDP).
    """
    matrices: list[Parameter] = []
    tables: list[Parameter] = []
    vectors: list[Parameter] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or "embed" in name or "query" in name:
            vectors.append(parameter)
        elif parameter.ndim > 2 or "head" in name:
            tables.append(parameter)
        else:
            matrices.append(parameter)
    decayed = tables if config.optimizer == "muon" else tables + matrices
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    adamw = AdamW([group for group in groups if group["params"]], lr=config.rate, betas=BETAS, eps=1e-8)
    if config.optimizer == "adamw":
        return [adamw]
    make = Muon if _multiplies_bfloat16(next(module.parameters()).device) else Float32Muon
    muon = make(matrices, lr=config.rate, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [adamw, muon]


class Float32Muon(Muon):
    """Muon with the products of bfloat16 matrices computed in float32.

    Muon orthogonalises in bfloat16. A CPU without bfloat16 instructions multiplies such matrices ten times
    more slowly than float32 ones. The factors are the same, and so is the product after rounding.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step, as Muon takes it."""
        with _Float32Products():  # type: ignore[no-untyped-call]
            return super().step(closure)  # type: ignore[no-any-return, no-untyped-call]


class _Float32Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context in which `mm` and `addmm` of bfloat16 matrices run in float32."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        products = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
        if func not in products or args[0].dtype != torch.bfloat16:
            return func(*args, **named)
        wide: Tensor = func(*(factor.float() for factor in args), **named)
        return wide.bfloat16()


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 instructions."""
    if device.type != "cpu":
        return True
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))

"""Optimisers of a stage: AdamW, or Muon for the matrices of the layers with AdamW for the rest."""

from __future__ import annotations

from torch import nn
from torch.nn import Parameter
from torch.optim import AdamW, Muon, Optimizer

from model.train.config import StageConfig

BETAS = (0.9, 0.98)


def build_optimizers(module: nn.Module, config: StageConfig) -> list[Optimizer]:
    """The optimisers over the parameters that are not frozen.

    Vectors (norms, biases) and embeddings get no weight decay. Muon orthogonalises a matrix's update;
    it learns a small network in fewer steps, and is not for sharded parameters (FSDP).
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
    muon = Muon(matrices, lr=config.rate, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [adamw, muon]

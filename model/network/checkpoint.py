"""Loading and saving checkpoints: a directory of configuration, tokenizer and weights.

All possible problems of a checkpoint are checked before a weight is read, and are reported in one error. The
layout is Hugging Face's for Qwen2.5-VL, plus `echo_config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.network.backbone import Backbone
from model.network.config import ModelConfig
from model.network.inspection import (
    CONFIG,
    SIDECAR,
    TOKENIZER,
    Inspection,
    inspect_checkpoint,
    sound_checkpoint,
)
from model.network.tokenizer import ReportTokenizer
from model.network.weights import weights_sha256, write_weights

__all__ = [
    "Checkpoint",
    "Inspection",
    "inspect_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
    "write_checkpoint",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded checkpoint."""

    backbone: Backbone
    config: ModelConfig
    tokenizer: ReportTokenizer
    weights_sha256: str


def load_checkpoint(
    directory: Path,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    sidecar: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Loads onto `device` in `dtype`, in evaluation mode. Raises: CheckpointError with every problem."""
    config, tokenizer, weights = sound_checkpoint(directory, sidecar)
    with torch.device(device or "cpu"):
        backbone = Backbone.from_config(config.network, dtype, initialise=False)
    places = backbone.network.state_dict()
    with torch.no_grad():
        for name, tensor in weights.read():
            if name in places:
                _copy(tensor, places[name])
    return Checkpoint(
        backbone=backbone.eval(),
        config=config,
        tokenizer=tokenizer,
        weights_sha256=weights_sha256(weights.files),
    )


def save_checkpoint(
    directory: Path,
    backbone: Backbone,
    config: ModelConfig,
    tokenizer: ReportTokenizer,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = 5_000_000_000,
    published_names: bool = False,
) -> None:
    """Writes a checkpoint that `load_checkpoint` reads; the weights in `dtype`, or as they are."""
    tensors = {name: t.to(dtype or t.dtype) for name, t in backbone.network.state_dict().items()}
    write_checkpoint(
        directory, tensors, config, tokenizer, shard_bytes=shard_bytes, published_names=published_names
    )


def write_checkpoint(
    directory: Path,
    state: Mapping[str, Tensor],
    config: ModelConfig,
    tokenizer: ReportTokenizer,
    *,
    shard_bytes: int = 5_000_000_000,
    published_names: bool = False,
) -> None:
    """Writes a network's tensors (canonical names) as a checkpoint that `load_checkpoint` reads."""
    directory.mkdir(parents=True, exist_ok=True)
    left_out = "lm_head.weight" if config.shape.tied else None
    tensors = {name: tensor for name, tensor in state.items() if name != left_out}
    write_weights(directory, tensors, shard_bytes=shard_bytes, published_names=published_names)
    tokenizer.save(directory / TOKENIZER)
    (directory / CONFIG).write_text(json.dumps(dict(config.network), indent=2) + "\n")
    (directory / SIDECAR).write_text(json.dumps(config.sidecar(), indent=2) + "\n")


def _copy(stored: Tensor, place: Tensor) -> None:
    """Copies a tensor, converting its type; missing rows become the mean of the existing ones."""
    place[: stored.shape[0]].copy_(stored)
    if stored.shape[0] < place.shape[0]:
        place[stored.shape[0] :] = stored.float().mean(dim=0).to(place.dtype)

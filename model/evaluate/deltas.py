"""Baselines as small files: the difference of a network from the shipped one, with eight bits per weight.

The stages after AR share its vision tower, and each starts from the one before, so the differences are small
and can be rounded well: every row of a matrix has its own scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.errors import ModelError

_LEVELS = 127.0


class DeltaError(ModelError):
    """A baseline's differences do not fit the network that they are to be added to."""

    code = "baseline_delta"
    retryable = False


def save_delta(reference: Mapping[str, Tensor], other: Mapping[str, Tensor], path: Path) -> None:
    """Writes `other` - `reference`; equal tensors are left out.

    Raises:
        DeltaError where the two do not have the same tensors.
    """
    if reference.keys() != other.keys():
        raise DeltaError("the two networks have different tensors; both must come from one recipe")
    stored: dict[str, Tensor] = {}
    for name, base in reference.items():
        difference = other[name].float() - base.float()
        if not bool(difference.any()):
            continue
        rows = difference.reshape(difference.shape[0], -1)
        scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / _LEVELS
        stored[f"{name}:levels"] = (rows / scale).round().to(torch.int8).reshape(difference.shape)
        stored[f"{name}:scale"] = scale
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(stored, path)


def apply_delta(reference: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The other network's tensors, in the reference's types. Raises: DeltaError where names do not fit."""
    stored = load_file(path)
    names = {key.removesuffix(":levels") for key in stored if key.endswith(":levels")}
    unknown = sorted(names - reference.keys())
    if unknown:
        raise DeltaError(
            f"{path} changes {unknown[0]}, which the network does not have; rebuild the baselines"
        )
    result = dict(reference)
    for name in names:
        levels = stored[f"{name}:levels"].float()
        rows = levels.reshape(levels.shape[0], -1) * stored[f"{name}:scale"]
        result[name] = (reference[name].float() + rows.reshape(levels.shape)).to(reference[name].dtype)
    return result

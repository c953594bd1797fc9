"""The only decoding rule: the token of a position, and which positions a step commits. Decoders, the engine's

slots and the rollouts of distillation all use it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sayable(logits: Tensor, never: tuple[int, ...]) -> Tensor:
    """Rule out the tokens `never` in logits `[..., V]`, in place; return them as float32.

    The mask token and the image placeholder are never chosen: a report cannot contain them.
    """
    logits = logits.float()
    for token in never:
        logits[..., token] = -torch.inf
    return logits


def choose(logits: Tensor, never: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the most probable token of each position, its probability, and all probabilities.

    logits: `[..., V]`, changed in place; never: as in `sayable`.
    Returns int `[...]`, float32 `[...]` in 0..1, float32 `[..., V]`.
    """
    probabilities = sayable(logits, never).softmax(dim=-1)
    confidence, token = probabilities.max(dim=-1)
    return token, confidence, probabilities


def accept(confidence: Tensor, settled: Tensor, commits: Tensor | int, threshold: Tensor | float) -> Tensor:
    """Return which positions a step commits: the most confident open ones, and all above the threshold.

    confidence: float32 `[S, B]`; settled: bool `[S, B]`; commits: the least number of tokens to commit, one
    for all or int `[S, 1]`; threshold: likewise, above 1 for none. Returns bool `[S, B]`, no settled one.
    """
    open_confidence = confidence.masked_fill(settled, -1.0)
    rank = open_confidence.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return ((rank < commits) | (confidence >= threshold)) & ~settled

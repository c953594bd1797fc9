"""Absorbing noise for masked block diffusion: the masked answer tokens and their weights.

Source: ECHO (arXiv 2604.09450), the block diffusion objective: per block t ~ U(0, 1), mask probability
p = (1 - eps) t + eps, cross-entropy on the masked positions weighted by 1/p.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The masked answer positions and the weight of each in the loss; one row per noisy copy."""

    masked: Tensor  # bool [B, C, R]
    weight: Tensor  # float [B, C, R]; 1/p where masked, 0 elsewhere


def mask_probability(time: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Probability of a mask at diffusion time `time` in [0, 1]: from epsilon to 1."""
    return (1.0 - epsilon) * time + epsilon


def draw_noise(
    batch: int,
    length: int,
    block_size: int,
    generator: torch.Generator,
    *,
    complementary: bool = False,
    epsilon: float = EPSILON,
) -> Noise:
    """Draws the masks of one step.

    Args:
        batch: number of answers, B.
        length: answer tokens, R; a multiple of `block_size`.
        block_size: tokens per block; each block draws its own time.
        generator: the only source of randomness. complementary: two noisy copies, the second masked exactly
        where the first is not, so that
            every token is predicted once per step.
        epsilon: the smallest mask probability.

    The times of a step are stratified over [0, 1): each is uniform and together they cover the range evenly,
    which lowers the variance of the loss without changing its expectation.
    """
    blocks = length // block_size
    count = batch * blocks
    order = torch.randperm(count, generator=generator)
    offset = torch.rand(count, generator=generator)
    time = ((order + offset) / count).view(batch, blocks)  # [B, blocks]
    probability = mask_probability(time, epsilon).repeat_interleave(block_size, dim=1)  # [B, R]
    masked = torch.rand(batch, length, generator=generator) < probability
    weight = masked / probability
    if not complementary:
        return Noise(masked=masked[:, None], weight=weight[:, None])
    other = ~masked / (1.0 - probability).clamp(min=epsilon)
    return Noise(masked=torch.stack([masked, ~masked], dim=1), weight=torch.stack([weight, other], dim=1))

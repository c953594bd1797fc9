"""T3D, trajectory self-distillation with direct discriminative optimisation: the few-step baseline.

At a state of the model's own multi-step trajectory, "real" are the trajectory's final tokens at the
masked positions and "fake" are tokens drawn from the frozen reference's factorised prediction there.

    L = -log s(b (log p(real) - log r(real))) - a log(1 - s(b (log p(fake) - log r(fake)))) + c path

with p the student, r the reference, s the logistic function; `path` is the cross-entropy of the final
tokens at the states that a decoder of k tokens per step visits.

Source: T3D (arXiv 2602.12262).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def state_of(steps: Tensor, valid: Tensor, block_size: int, generator: torch.Generator) -> Tensor:
    """Draws a state of the trajectory for each block: which positions are still masked.

    Args:
        steps: int [B, R], the step of each commit, from 1.
        valid: bool [B, R].
        block_size: tokens per block.
        generator: the only source of randomness.

    Returns:
        bool [B, R]: True where masked; at least one position of each block.
    """
    batch, length = steps.shape
    blocks = steps.view(batch, length // block_size, block_size)
    last = blocks.amax(dim=2)  # [B, blocks]
    draw = torch.rand(last.shape, generator=generator).to(last.device)
    done = (draw * last).floor()  # steps already taken, 0 up to last - 1
    return (blocks > done[..., None]).flatten(1) & valid


def fewer_step_state(
    order: Tensor, valid: Tensor, block_size: int, tokens_per_step: int, taken: Tensor
) -> Tensor:
    """The state of a decoder that commits `tokens_per_step` tokens a step, after `taken` steps.

    Args:
        order: int [B, R], rank of each position's commit in its block, from 0.
        valid: bool [B, R].
        block_size: tokens per block.
        tokens_per_step: k.
        taken: int [B, blocks], steps already taken in each block.

    Returns:
        bool [B, R]: True where still masked.
    """
    revealed = (taken * tokens_per_step).repeat_interleave(block_size, dim=1)
    return (order >= revealed) & valid


def commit_order(steps: Tensor, confidence: Tensor, block_size: int) -> Tensor:
    """Rank of each position in its block by step, then by falling confidence: int [B, R], from 0."""
    batch, length = steps.shape
    key = (steps.float() + (1.0 - confidence.float()) * 0.5).view(batch, length // block_size, block_size)
    return key.argsort(dim=2, stable=True).argsort(dim=2).flatten(1)


def sample_means(values: Tensor, masked: Tensor) -> Tensor:
    """Mean of the values at each sample's masked positions: [B], 0 where a sample has none.

    Args:
        values: [N], one for each True of `masked`, row by row.
        masked: bool [B, R].
    """
    rows = torch.arange(len(masked), device=masked.device)[:, None].expand_as(masked)[masked]
    sums = torch.zeros(len(masked), device=values.device).index_add(0, rows, values)
    return sums / masked.sum(dim=1).clamp(min=1)


def discriminative_loss(
    real: Tensor, real_reference: Tensor, fake: Tensor, fake_reference: Tensor, *, beta: float, alpha: float
) -> Tensor:
    """The direct discriminative term, one value per sample.

    Args:
        real, real_reference: [N] log-probabilities of the trajectory's tokens, the mean over a sample's
            masked tokens.
        fake, fake_reference: [N] the same for the tokens drawn from the reference.
        beta: sharpness.
        alpha: weight of the fake side.
    """
    keeps = functional.logsigmoid(beta * (real - real_reference))
    rejects = functional.logsigmoid(-beta * (fake - fake_reference))
    return -(keeps + alpha * rejects)

"""DCD, direct conditional distillation: a student decodes in one forward what a teacher decodes in several.

For every position the target is the teacher's distribution at the step that committed this position,
conditioned on the tokens revealed up to then, so that all targets of a block belong to one coherent
trajectory. The context is the teacher's own rollout, or a student's drafts of it: never the ground truth.

    L = sum_i w_i KL(P_i || student(. | context, y_<n, [M]^B)) + lambda CE at the end-of-text positions

with w_i in proportion to the step of the commit, normalised to mean 1 over an answer.

Source: ECHO (arXiv 2604.09450), direct conditional distillation.
"""

from __future__ import annotations

import torch
from torch import Tensor


def step_weights(steps: Tensor, valid: Tensor) -> Tensor:
    """Weights in proportion to the commit's step, mean 1 over each answer.

    Args:
        steps: int [B, R], 1 for the first step of a block.
        valid: bool [B, R].
    """
    raw = steps.float() * valid
    mean = raw.sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)
    return raw / mean.clamp(min=1e-6)


def token_weights(steps: Tensor, valid: Tensor, *, weighted: bool) -> Tensor:
    """Weight of each position's divergence over the answer's length: [B, R], summing to 1 per answer."""
    weights = step_weights(steps, valid) if weighted else valid.float()
    return weights / valid.sum(dim=1, keepdim=True).clamp(min=1)


def eos_weights(tokens: Tensor, valid: Tensor, eos_token: int) -> Tensor:
    """Weight of the cross-entropy at the end-of-text positions: mean 1 per answer that has any."""
    ends = ((tokens == eos_token) & valid).float()
    return ends / ends.sum(dim=1, keepdim=True).clamp(min=1)


def all_masked(tokens: Tensor, mask_token: int) -> Tensor:
    """The student's noisy part: every position of every block masked."""
    return torch.full_like(tokens, mask_token)

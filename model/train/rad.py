"""RAD, response-asymmetric diffusion: the layout and the loss of the multi-step block diffusion stage.

    [ prompt P, clean | response R, clean | response R, noisy ( | further noisy copies ) ]

The attention is `model.network.masks.rad_mask`; a noisy copy reuses the clean copy's position ids; the loss
counts the masked noisy positions only. The prompt is stored once: P + 2R tokens where full duplication
has 2(P + R). Several noisy copies may share one clean copy (complementary masks), which avoids repeating the
prompt and the clean answer.

Source: ECHO (arXiv 2604.09450), response-asymmetric diffusion.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def with_copies(mask: Tensor, prompt: int, response: int, copies: int) -> Tensor:
    """A RAD mask for several noisy copies that do not see each other.

    Args:
        mask: bool [..., P + 2R, P + 2R], of one copy.
        prompt: prompt tokens, P.
        response: answer tokens, R.
        copies: noisy copies, C.

    Returns:
        bool [..., P + R + C R, P + R + C R].
    """
    if copies == 1:
        return mask
    clean = prompt + response
    total = clean + copies * response
    grown = torch.zeros(*mask.shape[:-2], total, total, dtype=torch.bool, device=mask.device)
    grown[..., :clean, :clean] = mask[..., :clean, :clean]
    for copy in range(copies):
        own = slice(clean + copy * response, clean + (copy + 1) * response)
        grown[..., own, :clean] = mask[..., clean:, :clean]
        grown[..., own, own] = mask[..., clean:, clean:]
    return grown


def noisy_tokens(answer: Tensor, masked: Tensor, mask_token: int) -> Tensor:
    """Answer tokens [B, R] under masks [B, C, R], as the noisy part of the sequence: [B, C R]."""
    copies = answer[:, None].expand_as(masked)
    return torch.where(masked, mask_token, copies).flatten(1)


def rad_positions(prompt: Tensor, answer: Tensor, copies: int) -> Tensor:
    """Position ids of the whole sequence from those of prompt [3, B, P] and answer [3, B, R]."""
    return torch.cat([prompt, *([answer] * (1 + copies))], dim=2)


def loss_weights(weight: Tensor, valid: Tensor) -> Tensor:
    """Weight of each noisy position, so that the sum over a batch is its loss times the batch's size.

    Args:
        weight: [B, C, R], 1/p where masked, else 0.
        valid: bool [B, R], the answer with the end-of-text pads of its last block.

    Returns:
        [B, C R]: divided by the answer's length and the number of copies.
    """
    length = valid.sum(dim=1).clamp(min=1)
    scaled = weight * valid[:, None] / length[:, None, None] / weight.shape[1]
    return scaled.flatten(1)


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted cross-entropies. No token shift: the logit at position i predicts token i.

    Args:
        logits: [N, V], the selected positions only.
        targets: int [N].
        weights: [N].
    """
    losses = functional.cross_entropy(logits.float(), targets, reduction="none")
    return (losses * weights).sum()

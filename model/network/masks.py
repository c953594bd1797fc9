"""The attention masks of block diffusion, as pure functions of lengths. `True` means: may attend.

Three kinds of sequence occur. *Prompts* are right-padded rows of vision and text. *Training* appends
the response twice, clean and noisy (response-asymmetric diffusion). *Decoding* runs a few rows against
a static cache whose slots are filled to different lengths. Padding rows attend only to themselves, so that no
softmax runs over an empty set; no other row sees them.

Source: arXiv 2604.09450, "response-asymmetric diffusion" and "fused block decoding".
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.network.config import PromptAttention


def prompt_mask(
    valid: Tensor, attention: PromptAttention, block_size: int, answered: Tensor | None = None
) -> Tensor:
    """Mask of a prefill over right-padded rows.

    valid: bool `[S, P]`, False on padding. With `PromptAttention.BLOCK` a token also sees the rest of
    its own block, on a grid that starts at position 0. answered: int `[S]`, how many of a row's last tokens
    are whole blocks of a response to be continued; each of these sees its own block and everything before it,
    whatever the prompt's rule. Returns bool `[S, P, P]`.
    """
    index = torch.arange(valid.shape[1], device=valid.device)
    order = (index // block_size if attention is PromptAttention.BLOCK else index).expand(valid.shape)
    if answered is not None:
        prompt = (valid.sum(dim=1) - answered)[:, None]
        order = torch.where(index < prompt, order, prompt + (index - prompt) // block_size)
    sees = (order[:, :, None] >= order[:, None, :]) & valid[:, None, :]  # [S, P, P]
    return _padding_sees_itself(sees, valid)


def prefill_block_mask(
    valid: Tensor, attention: PromptAttention, block_size: int, answered: Tensor | None = None
) -> Tensor:
    """Mask of a prefill that carries the next block of `block_size` masks after the padded rows.

    The rows attend as they do without the block; the block sees its row and itself. Arguments as in
    `prompt_mask`. Returns bool `[S, P + block_size, P + block_size]`.
    """
    slots, prompt = valid.shape
    total = prompt + block_size
    mask = torch.zeros(slots, total, total, dtype=torch.bool, device=valid.device)
    mask[:, :prompt, :prompt] = prompt_mask(valid, attention, block_size, answered)
    mask[:, prompt:, :prompt] = valid[:, None, :]
    mask[:, prompt:, prompt:] = True
    return mask


def causal_mask(valid: Tensor) -> Tensor:
    """Plain causal mask over right-padded rows, for autoregressive training: bool `[S, T, T]`."""
    return prompt_mask(valid, PromptAttention.CAUSAL, 1)


def rad_mask(
    prompt_length: int,
    response_length: int,
    block_size: int,
    attention: PromptAttention = PromptAttention.CAUSAL,
) -> Tensor:
    """Mask of one training sequence `[prompt | response, clean | response, noisy]`: bool `[P+2R, P+2R]`.

    prompt       sees the prompt, by the rule of the prefill
    clean block j  sees the prompt and the clean blocks <= j
    noisy block j  sees the prompt, the clean blocks < j and noisy block j
    """
    prompt = torch.ones(1, prompt_length, dtype=torch.bool)
    response = torch.ones(1, response_length, dtype=torch.bool)
    return rad_mask_batch(prompt, response, block_size, attention)[0]


def rad_mask_batch(
    prompt_valid: Tensor,
    response_valid: Tensor,
    block_size: int,
    attention: PromptAttention = PromptAttention.CAUSAL,
) -> Tensor:
    """`rad_mask` for a padded batch.

    prompt_valid: bool `[S, P]`; response_valid: bool `[S, R]` (R a multiple of the block size, the EOS
    pads that carry labels are valid, the batch's padding is not). Returns bool `[S, P+2R, P+2R]`.
    """
    prompt, response = prompt_valid.shape[1], response_valid.shape[1]
    block = torch.arange(response, device=prompt_valid.device) // block_size
    same, before = block[:, None] == block[None, :], block[:, None] > block[None, :]  # [R, R]

    total = prompt + 2 * response
    mask = torch.zeros(prompt_valid.shape[0], total, total, dtype=torch.bool, device=prompt_valid.device)
    clean, noisy = slice(prompt, prompt + response), slice(prompt + response, total)
    mask[:, :prompt, :prompt] = prompt_mask(prompt_valid, attention, block_size)
    mask[:, prompt:, :prompt] = prompt_valid[:, None, :]
    mask[:, clean, clean] = (same | before) & response_valid[:, None, :]
    mask[:, noisy, clean] = before & response_valid[:, None, :]
    mask[:, noisy, noisy] = same & response_valid[:, None, :]
    return _padding_sees_itself(mask, torch.cat([prompt_valid, response_valid, response_valid], dim=1))


def block_mask(starts: Tensor, width: int, capacity: int) -> Tensor:
    """Mask of one block against the cache: it sees the slot's `starts` cached tokens and itself.

    starts: int `[S]`, tokens already in each slot; the block of `width` tokens is written after them.
    Returns bool `[S, width, capacity]`.
    """
    key = torch.arange(capacity, device=starts.device)
    sees = key[None, :] < (starts + width)[:, None]  # [S, capacity]
    return sees[:, None, :].expand(-1, width, -1)


def visible_block_mask(visible: Tensor, width: int) -> Tensor:
    """Like `block_mask`, for rows that are all filled to one length k, some of it padding.

    visible: bool `[S, k]`, what a block may see besides itself. Returns bool `[S, width, k + width]`.
    """
    own = torch.ones(len(visible), width, dtype=torch.bool, device=visible.device)
    return torch.cat([visible, own], dim=1)[:, None].expand(-1, width, -1)


def causal_step_mask(starts: Tensor, width: int, capacity: int) -> Tensor:
    """Like `block_mask`, but the `width` new tokens see each other causally: bool `[S, width, capacity]`."""
    key = torch.arange(capacity, device=starts.device)
    last = starts[:, None] + torch.arange(width, device=starts.device)  # [S, width]
    return key <= last[..., None]


def fused_mask(starts: Tensor, block_size: int, capacity: int) -> Tensor:
    """Mask of one fused step: clean block n-1, then the masks of block n, in one forward.

    The first `block_size` rows see the cache and their own block, so what they write is the commit;
    the last `block_size` rows also see the masks' own block. Returns bool `[S, 2*block_size, capacity]`.
    """
    clean = block_mask(starts, block_size, capacity)
    noisy = block_mask(starts + block_size, block_size, capacity)
    return torch.cat([clean, noisy], dim=1)


def _padding_sees_itself(mask: Tensor, valid: Tensor) -> Tensor:
    """Replaces the rows of padding by the identity: `mask` bool `[S, T, T]`, `valid` bool `[S, T]`."""
    identity = torch.eye(mask.shape[-1], dtype=torch.bool, device=mask.device)
    return torch.where(valid[:, :, None], mask, identity)

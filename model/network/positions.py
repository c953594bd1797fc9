"""M-RoPE positions: three numbers (time, height, width) for each token, as pure functions.

Text advances all three together; an image's tokens share the time of its start and count its rows and
columns from there; the token after an image continues at start + max(rows, columns).
Source: Qwen2-VL technical report, "multimodal rotary position embedding".
"""

from __future__ import annotations

import torch
from torch import Tensor


def mrope_positions(
    input_ids: Tensor, valid: Tensor, grid_thw: Tensor, image_token_id: int, merge: int
) -> Tensor:
    """Positions of padded prompts.

    input_ids: int `[S, P]`; valid: bool `[S, P]`, False on padding (left or right); grid_thw: int
    `[images, 3]` in patches, in the order in which the images occur over the batch; merge: patches per
    token and side. Returns int `[3, S, P]`; padding gets the position of the token before it.
    """
    device = input_ids.device
    is_image = (input_ids == image_token_id) & valid  # [S, P]
    advances, offsets = [], []
    for t, h, w in grid_thw.tolist():
        rows, columns = h // merge, w // merge
        place = torch.cartesian_prod(torch.arange(t), torch.arange(rows), torch.arange(columns))
        advance = torch.zeros(len(place), dtype=torch.long)
        advance[-1] = max(rows, columns)  # a still image has t == 1
        advances.append(advance)
        offsets.append(place)

    step = valid.long()
    if advances:
        step = step.masked_scatter(is_image, torch.cat(advances).to(device))
    start = step.cumsum(dim=1) - step  # [S, P]: the position at which each token starts
    positions = start.expand(3, -1, -1).clone()  # [3, S, P]
    if offsets:
        positions[:, is_image] += torch.cat(offsets).T.to(device)
    return positions


def next_positions(positions: Tensor, valid: Tensor) -> Tensor:
    """The position of the first token after each prompt: int `[S]`, from `[3, S, P]` and `[S, P]`."""
    return positions.masked_fill(~valid, -1).amax(dim=(0, 2)) + 1


def text_positions(first: Tensor, length: int) -> Tensor:
    """Positions of `length` text tokens that start at `first` int `[S]`: int `[3, S, length]`."""
    run = first[:, None] + torch.arange(length, device=first.device)
    return run.expand(3, -1, -1)

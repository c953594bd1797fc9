"""The geometry of Qwen2.5-VL's vision tower for one image size: token order, windows and rotary places.

The tower reorders an image's merged tokens window by window; most layers attend only within a window. Images
of equal size have the same order, so the tower runs them as one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """How an image of `patches` patches is laid out in the tower.

    order: int `[tokens]`, the merged token at each place of window order; inverse: its inverse.
    places: int `[patches, 2]`, row and column of each patch, in window order.
    members: int `[windows, size]`, the patches (in window order) of each window, padded with 0.
    present: bool `[windows, size]`, False on that padding; None where there is none.
    source: int `[patches]`, the place of each patch in the flattened `members`.
    """

    order: Tensor
    inverse: Tensor
    places: Tensor
    members: Tensor
    present: Tensor | None
    source: Tensor


@lru_cache(maxsize=16)
def plan_windows(rows: int, columns: int, merge: int, window: int, device: torch.device) -> WindowPlan:
    """The plan of an image of `rows` x `columns` patches; `window`: its side in merged tokens."""
    with torch.inference_mode(False):  # cached between calls, so training may get what inference created
        return _plan_windows(rows, columns, merge, window, device)


def _plan_windows(rows: int, columns: int, merge: int, window: int, device: torch.device) -> WindowPlan:
    unit = merge * merge
    high, wide = rows // merge, columns // merge
    token = torch.arange(high * wide).reshape(high, wide)
    padded = functional.pad(token, (0, -wide % window, 0, -high % window), value=-1)
    tiles = padded.reshape(padded.shape[0] // window, window, padded.shape[1] // window, window)
    tiles = tiles.permute(0, 2, 1, 3).reshape(-1, window * window)  # [windows, tokens of a window]
    order = tiles[tiles >= 0]

    sizes = (tiles >= 0).sum(dim=1) * unit  # patches per window
    starts = sizes.cumsum(0) - sizes
    slot = torch.arange(int(sizes.max()))
    present = slot[None, :] < sizes[:, None]
    members = torch.where(present, starts[:, None] + slot, 0)

    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    grid = torch.stack([row, column], dim=-1).reshape(high, merge, wide, merge, 2)
    grid = grid.permute(0, 2, 1, 3, 4).reshape(-1, unit, 2)  # the patches of a merged token are neighbours
    return WindowPlan(
        order=order.to(device),
        inverse=order.argsort().to(device),
        places=grid[order].reshape(-1, 2).to(device),
        members=members.to(device),
        present=None if bool(present.all()) else present.to(device),
        source=present.flatten().nonzero().squeeze(1).to(device),
    )

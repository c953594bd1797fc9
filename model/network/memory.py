"""How many reports may be decoded concurrently: memory is budgeted before it is allocated."""

from __future__ import annotations

import psutil
import torch

from model.errors import OutOfMemoryError
from model.network.cache import BlockCache
from model.network.config import ModelConfig


def free_memory(device: torch.device) -> int:
    """Free memory of a device (bytes)."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free
    return int(psutil.virtual_memory().available)


def bytes_per_slot(
    config: ModelConfig, dtype: torch.dtype, *, longest_prompt: int, longest_report: int
) -> int:
    """The memory that one more report needs: its cache, and its share of the largest forward.

    longest_prompt, longest_report: tokens. The forward's share is an upper estimate: the prefill's
    states (residual, attention and the wide layer), and three float32 copies of a block's logits.
    """
    shape, size = config.shape, config.block_size
    cache = (longest_prompt + longest_report + 3 * size) * BlockCache.bytes_per_token(shape, dtype)
    rows = longest_prompt + longest_report
    states = rows * (8 * shape.hidden + 3 * shape.ffn) * dtype.itemsize
    mask = rows * rows * dtype.itemsize
    logits = 3 * size * shape.vocab_size * torch.float32.itemsize
    return cache + states + mask + logits


def affordable_slots(
    config: ModelConfig,
    dtype: torch.dtype,
    *,
    longest_prompt: int,
    longest_report: int,
    free: int,
    fraction: float,
    most: int,
) -> int:
    """The number of slots that fit into `fraction` (0..1) of `free` bytes, at most `most`.

    Raises:
        OutOfMemoryError if not even one fits.
    """
    one = bytes_per_slot(config, dtype, longest_prompt=longest_prompt, longest_report=longest_report)
    slots = min(most, int(free * fraction) // one)
    if slots < 1:
        raise OutOfMemoryError(
            f"one report needs {one / 2**20:.0f} MiB, but {fraction:.0%} of the free memory is "
            f"{free * fraction / 2**20:.0f} MiB"
        )
    return slots

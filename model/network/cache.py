"""The static key-value cache: allocated once, written in place, never copied, cropped or regrown.

A slot holds one report's tokens from column 0. The columns after a slot's committed tokens are scratch: the
next step overwrites them, and no mask lets a row see them. So a block of masks leaves its keys and values
where the committed block overwrites them later, and nothing needs to be undone.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from model.network.config import NetworkShape


class KeyValueStore(Protocol):
    """Stores the new keys and values of a layer's attention, and returns all that it attends to."""

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """keys, values: `[S, KV heads, q, head dim]`; returns all to attend to, k instead of q."""
        ...


class BlockCache:
    """Keys and values of `slots` reports, `[layers, slots, KV heads, capacity, head dim]` each.

    capacity: tokens per slot, including the scratch columns after the last block.
    """

    def __init__(
        self, shape: NetworkShape, *, slots: int, capacity: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        size = (shape.layers, slots, shape.kv_heads, capacity, shape.head_dim)
        # Zeros, not garbage: a masked column still takes part in the arithmetic, and NaN * 0 is NaN.
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)
        self.capacity = capacity

    @staticmethod
    def bytes_per_token(shape: NetworkShape, dtype: torch.dtype) -> int:
        """Memory (bytes) for one token in one slot."""
        return 2 * shape.layers * shape.kv_heads * shape.head_dim * dtype.itemsize

    def prefill(self, slots: Tensor | slice, width: int) -> KeyValueStore:
        """A store for prompts that enter `slots`: keeps their first `width` columns, and attends to all."""
        return _Prefill(self, slots, width)

    def step(self, starts: Tensor, width: int) -> KeyValueStore:
        """A store for `width` new tokens in every slot, written from column `starts` int `[slots]` on."""
        return self.at(starts[:, None] + torch.arange(width, device=starts.device))

    def at(self, columns: Tensor) -> KeyValueStore:
        """A store that writes to `columns` int `[n, q]` of the first n slots."""
        return _Step(self, columns)


class _Prefill:
    def __init__(self, cache: BlockCache, slots: Tensor | slice, width: int) -> None:
        self._cache, self._slots, self._width = cache, slots, width

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        self._cache.keys[layer, self._slots, :, : self._width] = keys[:, :, : self._width]
        self._cache.values[layer, self._slots, :, : self._width] = values[:, :, : self._width]
        return keys, values


class _Step:
    def __init__(self, cache: BlockCache, columns: Tensor) -> None:
        self._cache, self._columns = cache, columns[:, None, :, None]  # [slots, 1, q, 1]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        slots = len(keys)
        all_keys, all_values = self._cache.keys[layer, :slots], self._cache.values[layer, :slots]
        columns = self._columns.expand_as(keys)
        all_keys.scatter_(2, columns, keys)
        all_values.scatter_(2, columns, values)
        return all_keys, all_values

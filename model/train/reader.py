"""Runs a network over many studies in parallel: its cache, the prompts, block after block."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.network.backbone import Backbone
from model.network.config import PromptAttention
from model.network.masks import prompt_mask, visible_block_mask


class RolloutCache:
    """Keys and values of rows that are all filled to the same length, written in place."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.filled = 0
        self.rows: Tensor | None = None  # the rows that the next forward runs; None: all

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Attends to the committed tokens and the new ones; new ones stay once `filled` counts them."""
        stop = self.filled + keys.shape[2]
        if layer not in self._layers:
            shape = (keys.shape[0], keys.shape[1], self._capacity, keys.shape[3])
            self._layers[layer] = (keys.new_zeros(shape), values.new_zeros(shape))
        stored = self._layers[layer]
        if self.rows is None:
            for store, new in zip(stored, (keys, values), strict=True):
                store[:, :, self.filled : stop] = new
            return stored[0][:, :, :stop], stored[1][:, :, :stop]
        old = (store[self.rows, :, : self.filled] for store in stored)
        seen_keys, seen_values = (
            torch.cat([past, new], dim=2) for past, new in zip(old, (keys, values), strict=True)
        )
        return seen_keys, seen_values

    def keep(self, rows: Tensor) -> None:
        """Drops all other rows."""
        self._layers = {n: (k[rows], v[rows]) for n, (k, v) in self._layers.items()}


class RolloutReader:
    """One network with the tokens read so far of B studies, all to the same length.

    Args:
        backbone: the network.
        capacity: the most tokens that it will read, including the prompt.
        attention, block_size: how prompt tokens see each other, as in `model.network.masks.prompt_mask`.
    """

    def __init__(
        self, backbone: Backbone, capacity: int, *, attention: PromptAttention, block_size: int
    ) -> None:
        self._backbone = backbone
        self._attention, self._block_size = attention, block_size
        self._cache = RolloutCache(capacity)

    def read_prompts(self, prompts: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Reads `prompt` [B, P], with its `prompt_valid` and `prompt_positions`, and the visual tokens.

        Returns:
            Hidden states, [B, P, D].
        """
        valid = prompts["prompt_valid"]
        embeds = self._backbone.embed(prompts["prompt"], features)
        positions = prompts["prompt_positions"].transpose(0, 1)
        mask = prompt_mask(valid, self._attention, self._block_size)
        hidden: Tensor = self._backbone.hidden(embeds, positions, mask, self._cache)
        self._cache.filled = valid.shape[1]
        return hidden

    def logits(self, tokens: Tensor, positions: Tensor, visible: Tensor, rows: Tensor | None) -> Tensor:
        """Logits [r, size, V] for a block [r, size] of the chosen rows (None: all), without changing the
        cache.
        """
        self._cache.rows = rows
        logits: Tensor = self._backbone(
            self._backbone.embed(tokens), positions, visible_block_mask(visible, tokens.shape[1]), self._cache
        )
        return logits.float()

    def keep(self, rows: Tensor) -> None:
        """Drops all other studies."""
        self._cache.keep(rows)

    def read(self, tokens: Tensor, positions: Tensor, visible: Tensor) -> Tensor:
        """Reads further tokens [B, size] of every study, each of which sees them all: hidden [B, size, D]."""
        self._cache.rows = None
        mask = visible_block_mask(visible, tokens.shape[1])
        hidden: Tensor = self._backbone.hidden(self._backbone.embed(tokens), positions, mask, self._cache)
        self._cache.filled += tokens.shape[1]
        return hidden

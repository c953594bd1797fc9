"""The forwards of a batch of reports against one static cache; the decoders only arrange them.

A slot's cache holds `starts` committed tokens. Every forward writes after them; `advance` commits the columns
of the previous block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.decode.encode import encode_prompts
from model.decode.options import DecodeOptions
from model.network.backbone import Backbone
from model.network.cache import BlockCache
from model.network.masks import block_mask, causal_step_mask, fused_mask
from model.network.positions import text_positions
from model.network.prompt import PromptBatch


class DecodeContext:
    """One batch in decoding: `S` slots of the cache, block size `B`.

    block: int `[S, B]`, the first block before any denoising; known: bool `[S, B]`, its tokens that
    belong to the prompt (none, unless the blocks are anchored at position 0 of the sequence).
    """

    def __init__(self, backbone: Backbone, prompts: PromptBatch, options: DecodeOptions) -> None:
        self._backbone = backbone
        self._prompts = encode_prompts(backbone, prompts, options)
        self.block, self.known = self._prompts.block, self._prompts.known
        self.starts, self._next = self._prompts.starts, self._prompts.next_position
        self.blank = torch.full_like(self.block, options.mask_token_id)
        tail = self.known.sum(dim=1)
        self.blocks = -(-(options.max_tokens + int(tail.max())) // options.block_size)
        self.cache = BlockCache(
            backbone.shape,
            slots=len(tail),
            capacity=self._prompts.columns + (self.blocks + 1) * options.block_size,
            dtype=backbone.dtype,
            device=backbone.device,
        )

    def prefill(self) -> None:
        """The prompts alone: their keys and values enter the cache."""
        self._prompts.prefill(self._backbone, self.cache, slice(None))

    def prefill_logits(self) -> Tensor:
        """The prompts alone, and the logits after their last token: `[S, V]` (autoregressive decoding)."""
        return self._prompts.prefill_logits(self._backbone, self.cache, slice(None))

    def prefill_block(self) -> Tensor:
        """Prompts and first block in one forward: the logits `[S, B, V]` of `self.block`."""
        return self._prompts.prefill_block(self._backbone, self.cache, slice(None))

    def denoise(self, block: Tensor) -> Tensor:
        """One block after the committed tokens: its logits `[S, B, V]`; its cache entries are scratch."""
        mask = block_mask(self.starts, block.shape[1], self.cache.capacity)
        return self._forward(block, mask, slice(None))

    def commit(self, block: Tensor) -> None:
        """The settled block's keys and values enter the cache."""
        mask = block_mask(self.starts, block.shape[1], self.cache.capacity)
        self._forward(block, mask, slice(0, 0))
        self.advance(block.shape[1])

    def commit_and_denoise(self, block: Tensor) -> Tensor:
        """Commits `block` and denoises the blank block after it in one forward: logits `[S, B, V]`."""
        size = block.shape[1]
        mask = fused_mask(self.starts, size, self.cache.capacity)
        logits = self._forward(torch.cat([block, self.blank], dim=1), mask, slice(size, None))
        self.advance(size)
        return logits

    def append(self, token: Tensor) -> Tensor:
        """One more token per slot, int `[S, 1]`, committed: the logits `[S, V]` after it."""
        logits = self._forward(token, causal_step_mask(self.starts, 1, self.cache.capacity), slice(None))
        self.advance(1)
        return logits[:, 0]

    def advance(self, tokens: int) -> None:
        """Commits the `tokens` columns after those already committed."""
        self.starts = self.starts + tokens
        self._next = self._next + tokens

    def _forward(self, tokens: Tensor, mask: Tensor, rows: slice) -> Tensor:
        embeds = self._backbone.embed(tokens)
        positions = text_positions(self._next, tokens.shape[1])
        store = self.cache.step(self.starts, tokens.shape[1])
        logits: Tensor = self._backbone(embeds, positions, mask, store, rows=rows)
        return logits

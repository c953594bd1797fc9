"""The forwards of a batch of reports against one static cache; the decoders only arrange them.

A slot's cache holds `starts` committed tokens. Every forward writes behind them; `advance` makes what
was written a block ago part of the report.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from model.backbone import Backbone
from model.cache import BlockCache
from model.config import BlockAnchor, PromptAttention
from model.decode.options import DecodeOptions
from model.errors import DecodingError
from model.masks import block_mask, causal_step_mask, fused_mask, prefill_block_mask, prompt_mask
from model.positions import next_positions, text_positions
from model.prompt import PromptBatch

PromptRule = Callable[[Tensor, PromptAttention, int, Tensor | None], Tensor]


class DecodeContext:
    """One batch in decoding: `S` slots of the cache, block size `B`.

    block: int `[S, B]`, the first block before any denoising; known: bool `[S, B]`, its tokens that
    belong to the prompt (none, unless the blocks are anchored at position 0 of the sequence).
    """

    def __init__(self, backbone: Backbone, prompts: PromptBatch, options: DecodeOptions) -> None:
        self._backbone, self._options = backbone, options
        prompts = prompts.to(backbone.device)
        features = backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
        self._embeds = backbone.embed(prompts.input_ids, features)  # [S, P, D]
        self._positions = backbone.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)

        tail = self._tail(prompts)  # int [S]
        self.starts = prompts.valid.sum(dim=1) - tail
        self._next = next_positions(self._positions, prompts.valid) - tail
        column = torch.arange(prompts.valid.shape[1], device=tail.device)
        self._valid = prompts.valid & (column < self.starts[:, None])
        self._columns = int(self._valid.sum(dim=1).max())
        # On a grid that starts at position 0 the prompt's own rule already covers the answered blocks.
        in_sequence = options.block_anchor is BlockAnchor.SEQUENCE
        self._answered = None if in_sequence else prompts.answered

        size = options.block_size
        place = torch.arange(size, device=tail.device)
        self.known = place < tail[:, None]
        source = (self.starts[:, None] + place).clamp(max=len(column) - 1)
        blank = torch.full_like(source, options.mask_token_id)
        self.block = torch.where(self.known, prompts.input_ids.gather(1, source), blank)
        if bool((self.block == backbone.shape.image_token_id).any()):
            raise DecodingError(
                "a block anchored in the sequence would begin inside an image; end the prompt in text"
            )
        self.blank = blank

        self.blocks = -(-(options.max_tokens + int(tail.max())) // size)
        self.cache = BlockCache(
            backbone.shape,
            slots=len(tail),
            capacity=self._columns + (self.blocks + 1) * size,
            dtype=backbone.dtype,
            device=backbone.device,
        )

    def _tail(self, prompts: PromptBatch) -> Tensor:
        """How many of each prompt's last tokens stand in the first block: int `[S]`."""
        lengths = prompts.valid.sum(dim=1)
        if self._options.block_anchor is BlockAnchor.RESPONSE:
            return torch.zeros_like(lengths)
        return lengths % self._options.block_size

    def prefill(self) -> None:
        """The prompt alone: its keys and values enter the cache."""
        columns, mask = self._prompt(prompt_mask)
        store = self.cache.prefill(slice(None), columns)
        self._backbone.hidden(self._embeds[:, :columns], self._positions[:, :, :columns], mask, store)

    def prefill_logits(self) -> Tensor:
        """The prompt alone, and the logits behind its last token: `[S, V]` (autoregressive decoding)."""
        columns, mask = self._prompt(prompt_mask)
        store = self.cache.prefill(slice(None), columns)
        hidden = self._backbone.hidden(
            self._embeds[:, :columns], self._positions[:, :, :columns], mask, store
        )
        last = hidden[torch.arange(len(hidden), device=hidden.device), self.starts - 1]
        return self._backbone.head(last)

    def prefill_block(self, block: Tensor) -> Tensor:
        """Prompt and first block in one forward: the logits `[S, B, V]` of `block` int `[S, B]`."""
        columns, mask = self._prompt(prefill_block_mask)
        embeds = torch.cat([self._embeds[:, :columns], self._backbone.embed(block)], dim=1)
        positions = torch.cat([self._positions[:, :, :columns], self._block_positions(block)], dim=2)
        store = self.cache.prefill(slice(None), columns)
        logits: Tensor = self._backbone(embeds, positions, mask, store, rows=slice(columns, None))
        return logits

    def denoise(self, block: Tensor) -> Tensor:
        """One block behind the committed tokens: its logits `[S, B, V]`; what it writes is scratch."""
        mask = block_mask(self.starts, block.shape[1], self.cache.capacity)
        return self._forward(block, mask, slice(None))

    def commit(self, block: Tensor) -> None:
        """The settled block's keys and values enter the cache."""
        mask = block_mask(self.starts, block.shape[1], self.cache.capacity)
        self._forward(block, mask, slice(0, 0))
        self.advance(block.shape[1])

    def commit_and_denoise(self, block: Tensor) -> Tensor:
        """Commits `block` and denoises the blank block behind it in one forward: logits `[S, B, V]`."""
        size = block.shape[1]
        mask = fused_mask(self.starts, size, self.cache.capacity)
        logits = self._forward(torch.cat([block, self.blank], dim=1), mask, slice(size, None))
        self.advance(size)
        return logits

    def append(self, token: Tensor) -> Tensor:
        """One more token per slot, int `[S, 1]`, committed: the logits `[S, V]` behind it."""
        logits = self._forward(token, causal_step_mask(self.starts, 1, self.cache.capacity), slice(None))
        self.advance(1)
        return logits[:, 0]

    def advance(self, tokens: int) -> None:
        """The `tokens` columns behind the committed ones are committed now."""
        self.starts = self.starts + tokens
        self._next = self._next + tokens

    def _prompt(self, rule: PromptRule) -> tuple[int, Tensor]:
        valid = self._valid[:, : self._columns]
        options = self._options
        return self._columns, rule(valid, options.prompt_attention, options.block_size, self._answered)

    def _block_positions(self, block: Tensor) -> Tensor:
        return text_positions(self._next, block.shape[1])

    def _forward(self, tokens: Tensor, mask: Tensor, rows: slice) -> Tensor:
        embeds = self._backbone.embed(tokens)
        store = self.cache.step(self.starts, tokens.shape[1])
        logits: Tensor = self._backbone(embeds, self._block_positions(tokens), mask, store, rows=rows)
        return logits

"""Encoding of prompts into the cache: embedding, positions, and the split where the blocks begin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.decode.options import DecodeOptions
from model.errors import DecodingError
from model.network.backbone import Backbone
from model.network.cache import BlockCache
from model.network.config import BlockAnchor, PromptAttention
from model.network.masks import prefill_block_mask, prompt_mask
from model.network.positions import next_positions, text_positions
from model.network.prompt import PromptBatch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedPrompts:
    """`S` prompts, up to the first block.

    embeds: `[S, P, D]`; positions: int `[3, S, P]`; valid: bool `[S, P]`. starts: int `[S]`, tokens before
    the first block; next_position: int `[S]`, the position of its first token. block: int `[S, B]`, the first
    block: the prompt's tokens in it (`known`, bool `[S, B]`), then masks. answered: as in
    `model.network.masks.prompt_mask`.
    """

    embeds: Tensor
    positions: Tensor
    valid: Tensor
    starts: Tensor
    next_position: Tensor
    block: Tensor
    known: Tensor
    answered: Tensor | None
    attention: PromptAttention

    @property
    def columns(self) -> int:
        """Cache columns that the longest of them takes, P."""
        return self.embeds.shape[1]

    def prefill(self, backbone: Backbone, cache: BlockCache, slots: Tensor | slice) -> Tensor:
        """Writes the prompts to `slots` of the cache; returns their states `[S, P, D]`."""
        mask = prompt_mask(self.valid, self.attention, self.block.shape[1], self.answered)
        return backbone.hidden(self.embeds, self.positions, mask, cache.prefill(slots, self.columns))

    def prefill_logits(self, backbone: Backbone, cache: BlockCache, slots: Tensor | slice) -> Tensor:
        """Like `prefill`; returns the logits `[S, V]` after each prompt's last token."""
        hidden = self.prefill(backbone, cache, slots)
        return backbone.head(hidden[torch.arange(len(hidden), device=hidden.device), self.starts - 1])

    def prefill_block(self, backbone: Backbone, cache: BlockCache, slots: Tensor | slice) -> Tensor:
        """Like `prefill`, with the first block in the same forward; returns the logits `[S, B, V]` of
        `block`.

        The cache keeps only the prompts.
        """
        size = self.block.shape[1]
        embeds = torch.cat([self.embeds, backbone.embed(self.block)], dim=1)
        positions = torch.cat([self.positions, text_positions(self.next_position, size)], dim=2)
        mask = prefill_block_mask(self.valid, self.attention, size, self.answered)
        store = cache.prefill(slots, self.columns)
        logits: Tensor = backbone(embeds, positions, mask, store, rows=slice(self.columns, None))
        return logits


def encode_prompts(backbone: Backbone, prompts: PromptBatch, options: DecodeOptions) -> EncodedPrompts:
    """Runs the vision tower and embeds. Raises: DecodingError if a block would begin inside an image."""
    prompts = prompts.to(backbone.device)
    features = backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
    positions = backbone.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)  # [3, S, P]
    lengths = prompts.valid.sum(dim=1)
    in_sequence = options.block_anchor is BlockAnchor.SEQUENCE
    tail = lengths % options.block_size if in_sequence else torch.zeros_like(lengths)  # [S]
    starts = lengths - tail

    place = torch.arange(options.block_size, device=lengths.device)
    known = place < tail[:, None]  # [S, B]
    source = (starts[:, None] + place).clamp(max=prompts.input_ids.shape[1] - 1)
    block = prompts.input_ids.gather(1, source).masked_fill(~known, options.mask_token_id)
    if in_sequence and bool((block == backbone.shape.image_token_id).any()):
        raise DecodingError(
            "a block anchored in the sequence would begin inside an image; end the prompt in text"
        )

    columns = int(starts.max())
    before_block = torch.arange(columns, device=lengths.device) < starts[:, None]
    return EncodedPrompts(
        embeds=backbone.embed(prompts.input_ids, features)[:, :columns],
        positions=positions[:, :, :columns],
        valid=prompts.valid[:, :columns] & before_block,
        starts=starts,
        next_position=next_positions(positions, prompts.valid) - tail,
        block=block,
        known=known,
        # On a grid that starts at position 0 the prompt's own rule already covers the answered blocks.
        answered=None if in_sequence else prompts.answered,
        attention=options.prompt_attention,
    )

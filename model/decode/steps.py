"""One step of all slots, in three ways: a token, a block in two forwards, a block in one.

Each takes the slots as tensors and the cache, and performs only arithmetic of fixed shape: no value is
read by the host, nothing is copied but the new keys and values into their columns. So a step can be
recorded as a CUDA graph, and costs the same at a report's first block and at its last.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor

from model.decode.options import DecodeOptions
from model.decode.slots import Slots
from model.network.backbone import Backbone
from model.network.cache import BlockCache
from model.network.config import Stage
from model.network.masks import block_mask, fused_mask
from model.network.positions import text_positions


class Method(StrEnum):
    """How the engine decodes.

    FUSED: the commit of a block and a step of the next one are one forward, and the first block is part of
    the prefill. FUSED_APART: likewise, but the prefill is a forward of its own. UNFUSED: commit and step
    are two forwards. AUTOREGRESSIVE: one token a forward, for a model without blocks.
    """

    FUSED = "fused"
    FUSED_APART = "fused_apart"
    UNFUSED = "unfused"
    AUTOREGRESSIVE = "autoregressive"

    @classmethod
    def of(cls, stage: Stage) -> Method:
        """The fastest one that a checkpoint can serve; one that was not trained with masks decodes token by
        token."""
        return cls.AUTOREGRESSIVE if stage is Stage.AR else cls.FUSED


# backbone, cache, slots, options, first of the B spare columns after every slot's columns
Step = Callable[[Backbone, BlockCache, Slots, DecodeOptions, int], None]


def fused_step(
    backbone: Backbone, cache: BlockCache, state: Slots, options: DecodeOptions, spare: int
) -> None:
    """The clean block's commit and a step of the current one in one forward of `[N, 2B]` rows."""
    size = options.block_size
    logits = _forward(
        backbone,
        cache,
        tokens=torch.cat([state.clean, state.block], dim=1),
        columns=torch.cat(_columns(state, size, spare), dim=1),
        position=state.position - size,
        mask=fused_mask(state.start - size, size, cache.capacity),
        rows=slice(size, None),
    )
    state.advance(logits, options)


def unfused_step(
    backbone: Backbone, cache: BlockCache, state: Slots, options: DecodeOptions, spare: int
) -> None:
    """The commit of the clean block, `[N, B]` rows, then a step of the current one, `[N, B]` rows."""
    size = options.block_size
    clean, current = _columns(state, size, spare)
    committed, seen = (block_mask(start, size, cache.capacity) for start in (state.start - size, state.start))
    _forward(backbone, cache, state.clean, clean, state.position - size, committed, slice(0, 0))
    state.forwards.add_(state.has_clean & state.running)
    logits = _forward(backbone, cache, state.block, current, state.position, seen, slice(None))
    state.advance(logits, options)


def token_step(
    backbone: Backbone, cache: BlockCache, state: Slots, options: DecodeOptions, spare: int
) -> None:
    """The last token's forward, `[N, 1]` rows: its logits give the next token. Blocks of one."""
    last = state.start - 1
    mask = block_mask(last, 1, cache.capacity)
    logits = _forward(backbone, cache, state.clean, last[:, None], state.position - 1, mask, slice(None))
    state.advance(logits, options)


STEPS: dict[Method, Step] = {
    Method.FUSED: fused_step,
    Method.FUSED_APART: fused_step,
    Method.UNFUSED: unfused_step,
    Method.AUTOREGRESSIVE: token_step,
}


def _columns(state: Slots, size: int, spare: int) -> tuple[Tensor, Tensor]:
    """Cache columns `[N, B]` of the clean block (spare ones where there is none) and of the current one."""
    offset = torch.arange(size, device=state.start.device)
    current = state.start[:, None] + offset
    return torch.where(state.has_clean[:, None], current - size, spare + offset), current


def _forward(
    backbone: Backbone,
    cache: BlockCache,
    tokens: Tensor,
    columns: Tensor,
    position: Tensor,
    mask: Tensor,
    rows: slice,
) -> Tensor:
    """Logits of `rows`; tokens, columns: int `[N, q]`; position: int `[N]`, that of the first token."""
    embeds, positions = backbone.embed(tokens), text_positions(position, tokens.shape[1])
    logits: Tensor = backbone(embeds, positions, mask, cache.at(columns), rows=rows)
    return logits

"""FLOPs of the decoder's forward, from its sizes: used in plans and in comparisons of layouts."""

from __future__ import annotations

from dataclasses import dataclass

from model.network.config import NetworkShape


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """The sizes of a text model that determine the FLOPs of a step."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int

    @classmethod
    def of(cls, shape: NetworkShape) -> TextShape:
        """From a network's sizes."""
        return cls(
            hidden=shape.hidden,
            ffn=shape.ffn,
            layers=shape.layers,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            vocab=shape.vocab_size,
        )


def attention_flops(shape: TextShape, cells: int) -> int:
    """Forward FLOPs of scores and weighted values over `cells` (row, column) pairs, all layers."""
    return 4 * cells * shape.heads * shape.head_dim * shape.layers


def linear_flops(shape: TextShape, tokens: int, predicted: int) -> int:
    """Forward FLOPs of projections, feed-forward layers and head; `predicted` rows reach the head."""
    width = shape.heads * shape.head_dim
    kv = shape.kv_heads * shape.head_dim
    layer = shape.hidden * (width + 2 * kv) + width * shape.hidden + 3 * shape.hidden * shape.ffn
    return 2 * tokens * layer * shape.layers + 2 * predicted * shape.hidden * shape.vocab

"""Counts what RAD saves compared with full duplication: P + 2R tokens instead of 2 (P + R).

At the demonstration's shape the forward of the real network is counted by torch's own counter. At the
paper's shape (a 7B network does not fit here) the same formula is evaluated; a test holds the two
against each other. Attention is counted over the cells that a mask allows, which is the cost for a kernel
that skips empty blocks; "dense" is the cost of plain attention over the whole square.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.network.backbone import Backbone
from model.network.flops import TextShape, attention_flops, linear_flops
from model.network.masks import rad_mask

PAPER = TextShape(hidden=3584, ffn=18944, layers=28, heads=28, kv_heads=4, head_dim=128, vocab=152_064)
_BATCH, _REPEATS = 24, 7  # of the timed steps
PAPER_PROMPT, PAPER_ANSWER, PAPER_BLOCK = 2_900, 144, 8


def duplicated_mask(prompt: int, answer: int, block: int) -> torch.Tensor:
    """Full duplication: a clean and a noisy copy of the whole sequence, prompt included.

    The clean copy is block-causal. In the noisy copy the prompt's tokens are clean too, but are
    computed again; a block sees the clean blocks before it and itself. bool [2(P+R), 2(P+R)].
    """
    length = prompt + answer
    offset = torch.arange(length) - prompt
    number = torch.where(offset < 0, -1, offset // block)  # the prompt is one block before all others
    causal = torch.arange(length)[:, None] >= torch.arange(length)[None, :]
    in_prompt = (number[:, None] == -1) & (number[None, :] == -1)
    same = torch.where(in_prompt, causal, number[:, None] == number[None, :])
    before = number[:, None] > number[None, :]
    mask = torch.zeros(2 * length, 2 * length, dtype=torch.bool)
    mask[:length, :length] = same | before
    mask[length:, :length] = before
    mask[length:, length:] = same
    return mask


def compare(shape: TextShape, prompt: int, answer: int, block: int) -> dict[str, float]:
    """FLOPs of one training sequence's forward, RAD and duplication, and what RAD saves of each."""
    rad_tokens, full_tokens = prompt + 2 * answer, 2 * (prompt + answer)
    rad_cells = int(rad_mask(prompt, answer, block).sum())
    full_cells = int(duplicated_mask(prompt, answer, block).sum())
    attention = attention_flops(shape, rad_cells), attention_flops(shape, full_cells)
    dense = attention_flops(shape, rad_tokens**2), attention_flops(shape, full_tokens**2)
    linear = linear_flops(shape, rad_tokens, answer), linear_flops(shape, full_tokens, answer)

    def saved(pair: tuple[int, int]) -> float:
        return 1.0 - pair[0] / pair[1]

    return {
        "prompt": prompt,
        "answer": answer,
        "rad_tokens": rad_tokens,
        "duplicated_tokens": full_tokens,
        "attention_saved": saved(attention),
        "dense_attention_saved": saved(dense),
        "linear_saved": saved(linear),
        "total_saved": saved((attention[0] + linear[0], attention[1] + linear[1])),
        "dense_total_saved": saved((dense[0] + linear[0], dense[1] + linear[1])),
        "rad_dense_flops": float(dense[0] + linear[0]),
        "duplicated_dense_flops": float(dense[1] + linear[1]),
    }


def measured_flops(backbone: Backbone, tokens: int, answer: int) -> int:
    """FLOPs that torch counts in one forward over `tokens`, of which `answer` rows reach the head."""
    embeds = torch.zeros(1, tokens, backbone.shape.hidden)
    positions = torch.arange(tokens).expand(3, 1, -1)
    mask = torch.ones(1, tokens, tokens, dtype=torch.bool)
    # The counter does not know the CPU's fused attention; plain attention consists of products that it
    # counts.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        backbone(embeds, positions, mask, rows=slice(0, answer))
    return int(counter.get_total_flops())


def step_seconds(backbone: Backbone, prompt: int, answer: int, block: int, batch: int) -> tuple[float, float]:
    """Seconds of a training step's forward and backward, RAD and duplication: medians of alternating runs."""
    masks = rad_mask(prompt, answer, block), duplicated_mask(prompt, answer, block)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS + 1):
        for seconds, mask in zip(taken, masks, strict=True):
            tokens = len(mask)
            embeds = torch.zeros(batch, tokens, backbone.shape.hidden)
            positions = torch.arange(tokens).expand(3, batch, -1)
            started = time.perf_counter()
            square = mask[None].expand(batch, -1, -1)
            logits = backbone(embeds, positions, square, rows=slice(tokens - answer, tokens))
            logits.square().mean().backward()
            seconds.append(time.perf_counter() - started)
    return statistics.median(taken[0][1:]), statistics.median(taken[1][1:])  # the first ones warm up


def count_shapes(backbone: Backbone, prompt: int, answer: int, block: int) -> dict[str, Mapping[str, float]]:
    """The comparison at a network's own shape, together with torch's count, and at the paper's."""
    own = compare(TextShape.of(backbone.shape), prompt, answer, block)
    rad = measured_flops(backbone, prompt + 2 * answer, answer)
    full = measured_flops(backbone, 2 * (prompt + answer), answer)
    rad_s, full_s = step_seconds(backbone, prompt, answer, block, _BATCH)
    return {
        "own": {
            **own,
            "measured_rad": rad,
            "measured_duplicated": full,
            "measured_total_saved": 1 - rad / full,
            "rad_step_ms": 1e3 * rad_s,
            "duplicated_step_ms": 1e3 * full_s,
            "step_time_saved": 1 - rad_s / full_s,
        },
        "paper": compare(PAPER, PAPER_PROMPT, PAPER_ANSWER, PAPER_BLOCK),
    }


def table_of(counts: Mapping[str, Mapping[str, float]]) -> str:
    """The counts as lines for a person."""
    lines = []
    for name, values in counts.items():
        lines.append(f"{name}:")
        for key, value in values.items():
            shown = f"{value:.1%}" if key.endswith("saved") else f"{value:,.0f}"
            lines.append(f"  {key.replace('_', ' '):24} {shown}")
    return "\n".join(lines)

"""FLOPs: the formula agrees with torch's counter, and the masks with the layouts described."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.evaluate.flops import (
    PAPER,
    PAPER_ANSWER,
    PAPER_BLOCK,
    PAPER_PROMPT,
    TextShape,
    attention_flops,
    compare,
    duplicated_mask,
    linear_flops,
    measured_flops,
)
from model.network.backbone import Backbone
from model.network.config import ModelConfig


def test_formula_agrees_with_torchs_counter(
    make_config: Callable[..., ModelConfig], make_backbone: Callable[[ModelConfig, int], Backbone]
) -> None:
    """The formula used for the paper's shape matches the counter at our shape."""
    backbone = make_backbone(make_config(), 0)
    shape = TextShape.of(backbone.shape)

    expected = attention_flops(shape, 24 * 24) + linear_flops(shape, 24, 8)

    assert pytest.approx(expected, rel=1e-3) == measured_flops(backbone, 24, 8)


def test_duplicated_mask_computes_the_prompt_twice() -> None:
    """Prompt 2, answer 2, blocks of 1: noisy rows attend to earlier clean blocks and themselves."""
    expected = [
        "x.......",
        "xx......",
        "xxx.....",
        "xxxx....",
        "....x...",
        "....xx..",
        "xx....x.",
        "xxx....x",
    ]

    assert expected == ["".join("x" if cell else "." for cell in row) for row in duplicated_mask(2, 2, 1)]


def test_rad_saves_most_attention_where_the_prompt_is_long() -> None:
    """At the paper's shape, plain attention over RAD's tokens costs little more than a quarter."""
    paper = compare(PAPER, PAPER_PROMPT, PAPER_ANSWER, PAPER_BLOCK)

    assert 0.70 < paper["dense_attention_saved"] < 0.75
    assert paper["linear_saved"] < paper["dense_total_saved"] < paper["dense_attention_saved"]

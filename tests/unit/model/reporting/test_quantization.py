"""int8 weights: their accuracy, and the check that guards it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.errors import QuantizationError
from model.network.backbone import Backbone
from model.network.checkpoint import Checkpoint
from model.network.config import ModelConfig
from model.network.inference import plain_linear
from model.network.tokenizer import ReportTokenizer
from model.reporting.quantization import agreement, int8_linear, quantize

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]


@pytest.mark.parametrize(("dtype", "rows"), [(torch.float32, 5), (torch.bfloat16, 5), (torch.bfloat16, 40)])
def test_int8_matrix_is_within_its_rounding(dtype: torch.dtype, rows: int) -> None:
    """Each output differs by at most half a quantisation step per input, plus bfloat16's own rounding."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = (
        torch.randn(24, 32, generator=generator).to(dtype),
        torch.randn(24, generator=generator).to(dtype),
    )
    states = torch.randn(2, rows, 32, generator=generator).to(dtype)
    expected, found = plain_linear(weight, bias)(states), int8_linear(weight, bias)(states)
    step = weight.float().abs().amax(dim=1) / 127
    allowed = 0.5 * step * states.float().abs().sum(dim=-1, keepdim=True)
    allowed = allowed + (0.0 if dtype is torch.float32 else 0.02) * (expected.float().abs() + 1) + 1e-4
    assert found.dtype is dtype
    assert bool(((found.float() - expected.float()).abs() <= allowed).all())


IMAGES = [np.full((28, 28), level, np.uint8) for level in (0, 90, 200)]


def test_matrix_of_zeros_stays_zero() -> None:
    """A scale of zero would be a division by zero."""
    assert torch.equal(int8_linear(torch.zeros(3, 4), None)(torch.ones(1, 4)), torch.zeros(1, 3))


def test_agreement_counts_places() -> None:
    """An extra token, a missing token and a different token all count as differences."""
    assert agreement([(1, 2, 3)], [(1, 2, 3)]) == 1.0
    assert agreement([(1, 2, 3, 4)], [(1, 9, 3)]) == 0.5


def test_checkpoint_that_changes_its_mind_is_refused(
    make_config: Make, make_backbone: MakeBackbone, tokenizer: ReportTokenizer
) -> None:
    """The share of equal tokens decides; the error says which setting to change."""
    config = make_config(denoising_steps=1, max_tokens=16)

    def checkpoint() -> Checkpoint:
        return Checkpoint(
            backbone=make_backbone(config, 3), config=config, tokenizer=tokenizer, weights_sha256=""
        )

    same = quantize(checkpoint(), IMAGES, least=0.0)
    assert 0.0 <= same <= 1.0
    with pytest.raises(QuantizationError, match=r"set model\.quantization to none"):
        quantize(checkpoint(), IMAGES, least=1.01)

"""The layers for inference against transformers' modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from model.decode import DecodeOptions, decode_fused
from model.network.backbone import Backbone
from model.network.cache import BlockCache
from model.network.config import ModelConfig
from model.network.inference import MakeLinear, choose_linear, packed_linear, plain_linear
from model.network.masks import causal_mask, fused_mask
from model.network.positions import text_positions
from model.network.prompt import PromptBatch

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]
MakePrompts = Callable[..., PromptBatch]

LINEARS = [
    plain_linear,
    pytest.param(
        packed_linear,
        marks=pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here"),
    ),
]


@pytest.mark.parametrize("make", LINEARS)
@torch.inference_mode()
def test_inference_layers_equal_transformers_layers(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts, make: MakeLinear
) -> None:
    """Vision tower, a padded prefill, and few rows against a long cache give the same numbers."""
    config = make_config()
    trained, prepared = make_backbone(config, 5), make_backbone(config, 5)
    prepared.prepare_for_inference(make)
    prompts = make_prompts(config)
    pixels = prompts.pixel_values, prompts.grid_thw
    features = trained.encode_images(*pixels)
    torch.testing.assert_close(prepared.encode_images(*pixels), features, rtol=1e-4, atol=1e-4)

    positions = trained.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)
    embeds, mask = trained.embed(prompts.input_ids, features), causal_mask(prompts.valid)
    expected = trained(embeds, positions, mask)
    torch.testing.assert_close(prepared(embeds, positions, mask), expected, rtol=1e-3, atol=1e-3)

    starts, tokens = torch.tensor([20, 7]), torch.arange(16).reshape(2, 8)
    steps = []
    for backbone in (trained, prepared):
        cache = BlockCache(
            config.shape, slots=2, capacity=60, dtype=torch.float32, device=torch.device("cpu")
        )
        cache.keys.normal_(generator=torch.Generator().manual_seed(1))
        logits = backbone(
            backbone.embed(tokens),
            text_positions(starts, 8),
            fused_mask(starts, 4, 60),
            cache.step(starts, 8),
            rows=slice(4, None),
        )
        steps.append((logits, cache.keys, cache.values))
    for ours, theirs in zip(steps[1], steps[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_rows_that_nobody_asks_for_still_fill_the_cache(
    make_config: Make, make_backbone: MakeBackbone
) -> None:
    """A commit needs no logits: the last layer writes its keys and values and stops."""
    config = make_config()
    backbone = make_backbone(config, 6)
    backbone.prepare_for_inference(plain_linear)
    starts, tokens = torch.tensor([9]), torch.arange(8)[None]
    written = []
    for rows in (slice(None), slice(0, 0)):
        cache = BlockCache(
            config.shape, slots=1, capacity=40, dtype=torch.float32, device=torch.device("cpu")
        )
        mask, store = fused_mask(starts, 4, 40), cache.step(starts, 8)
        logits = backbone(backbone.embed(tokens), text_positions(starts, 8), mask, store, rows=rows)
        written.append(cache.keys)
    assert logits.shape == (1, 0, config.shape.vocab_size)
    assert torch.equal(*written)
    assert written[1][-1, 0, :, 9:17].abs().sum() > 0


def test_prepared_network_decodes_the_same_tokens(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """This holds in float32 for every form of the weights; they are moved, so nothing is held twice."""
    config = make_config(denoising_steps=1)
    backbone, prompts = make_backbone(config, 7), make_prompts(config)
    options = DecodeOptions.of(config)
    expected = [decoded.tokens for decoded in decode_fused(backbone, prompts, options)]
    backbone.prepare_for_inference(choose_linear(torch.device("cpu")))
    assert [decoded.tokens for decoded in decode_fused(backbone, prompts, options)] == expected
    assert len(backbone.network.model.language_model.layers) == 0
    assert backbone.network.lm_head.weight.numel() == 0


def test_matrices_are_packed_on_a_cpu_alone() -> None:
    """Weights are packed for a CPU only; other devices read them in another order."""
    assert choose_linear(torch.device("meta")) is plain_linear

"""Our forward pass against transformers' own, and the properties that decoding and training rely on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from model.network.backbone import Backbone
from model.network.cache import BlockCache
from model.network.config import ModelConfig
from model.network.masks import block_mask, causal_mask, rad_mask_batch
from model.network.positions import next_positions, text_positions
from model.network.prompt import PromptBatch
from model.network.tokenizer import ReportTokenizer

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]
MakePrompts = Callable[..., PromptBatch]


@pytest.mark.parametrize("window", [None, 56, 84, 112])
@torch.inference_mode()
def test_backbone_equals_transformers(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_prompts: MakePrompts,
    tokenizer: ReportTokenizer,
    window: int | None,
) -> None:
    """Vision (any window), positions and logits of a padded batch equal those of transformers."""
    config = make_config(window=window, image_size=140)
    backbone = make_backbone(config, 1)
    backbone.network.config._attn_implementation = "sdpa"
    prompts = make_prompts(config)
    kinds = (prompts.input_ids == tokenizer.image_id).int()

    features = backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
    theirs = backbone.network.model.visual(prompts.pixel_values, grid_thw=prompts.grid_thw).pooler_output
    torch.testing.assert_close(features, theirs, rtol=1e-4, atol=1e-4)

    positions = backbone.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)
    expected, _ = backbone.network.model.get_rope_index(
        prompts.input_ids, kinds, image_grid_thw=prompts.grid_thw, attention_mask=prompts.valid
    )
    assert torch.equal(expected[:, prompts.valid], positions[:, prompts.valid])

    logits = backbone(backbone.embed(prompts.input_ids, features), positions, causal_mask(prompts.valid))
    reference = backbone.network(
        input_ids=prompts.input_ids,
        attention_mask=prompts.valid.long(),
        pixel_values=prompts.pixel_values,
        image_grid_thw=prompts.grid_thw,
        mm_token_type_ids=kinds,
    ).logits
    torch.testing.assert_close(logits[prompts.valid], reference[prompts.valid], rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_images_of_different_sizes_are_encoded_in_order(
    make_config: Make, make_backbone: MakeBackbone
) -> None:
    """Images of equal size run as batches; the features come back in the images' order."""
    config = make_config(window=56)
    backbone = make_backbone(config, 2)
    backbone.network.config._attn_implementation = "sdpa"
    grid = torch.tensor([[1, 4, 4], [1, 4, 4], [1, 6, 4], [1, 4, 4]])
    pixels = torch.randn(4 * 4 * 3 + 24, 1176, generator=torch.Generator().manual_seed(0))
    theirs = backbone.network.model.visual(pixels, grid_thw=grid).pooler_output
    torch.testing.assert_close(backbone.encode_images(pixels, grid), theirs, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_short_query_against_a_long_cache_equals_repeating_the_heads(
    make_config: Make, make_backbone: MakeBackbone
) -> None:
    """Folding query heads into rows gives the same attention as repeating keys and values."""
    config = make_config()
    backbone = make_backbone(config, 3)
    ids = torch.randint(20, 200, (2, 12), generator=torch.Generator().manual_seed(1))
    positions = text_positions(torch.zeros(2, dtype=torch.long), 12)
    mask = torch.ones(2, 12, 12, dtype=torch.bool)
    mask[:, :8, 8:] = False
    whole = backbone(backbone.embed(ids), positions, mask, rows=slice(8, None))

    cache = BlockCache(backbone.shape, slots=2, capacity=40, dtype=torch.float32, device=backbone.device)
    store = cache.prefill(slice(None), 8)
    backbone.hidden(backbone.embed(ids[:, :8]), positions[:, :, :8], mask[:, :8, :8], store)
    starts = torch.tensor([8, 8])
    store = cache.step(starts, 4)
    step = backbone(backbone.embed(ids[:, 8:]), positions[:, :, 8:], block_mask(starts, 4, 40), store)
    torch.testing.assert_close(whole, step, rtol=1e-4, atol=1e-4)


def test_training_after_inference_has_gradients(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """What an evaluation in inference mode caches does not break the next training step."""
    config = make_config(window=56)
    backbone, prompts = make_backbone(config, 4), make_prompts(config)
    with torch.inference_mode():
        backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
    backbone.encode_images(prompts.pixel_values, prompts.grid_thw).sum().backward()
    grown = [w.grad is not None for w in backbone.network.model.visual.parameters()]
    assert all(grown)


def test_frozen_vision_trains_the_decoder_alone(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """A RAD step as documented runs; with a frozen vision tower it updates only decoder and head."""
    config = make_config(block_size=4)
    backbone, batch = make_backbone(config, 5), make_prompts(config)
    backbone.freeze_vision()
    response = torch.randint(20, 200, (3, 8), generator=torch.Generator().manual_seed(2))
    response_valid = torch.tensor([[True] * 8, [True] * 4 + [False] * 4, [True] * 8])
    noisy = torch.full_like(response, config.mask_token_id)

    features = backbone.encode_images(batch.pixel_values, batch.grid_thw)
    positions = backbone.positions(batch.input_ids, batch.grid_thw, batch.valid)
    answer = text_positions(next_positions(positions, batch.valid), 8)
    embeds = backbone.embed(torch.cat([batch.input_ids, response, noisy], 1), features)
    mask = rad_mask_batch(batch.valid, response_valid, config.block_size)
    rows = torch.zeros(embeds.shape[:2], dtype=torch.bool)
    rows[:, -8:] = response_valid
    logits = backbone(embeds, torch.cat([positions, answer, answer], 2), mask, rows=rows)
    assert (20, config.shape.vocab_size) == tuple(logits.shape)
    torch.nn.functional.cross_entropy(logits, response[response_valid]).backward()
    moved = {name.split(".")[2] for name, w in backbone.named_parameters() if w.grad is not None}
    assert {"language_model", "weight"} == moved  # network.model.language_model..., network.lm_head.weight


@torch.inference_mode()
def test_rows_select_the_same_logits(make_config: Make, make_backbone: MakeBackbone) -> None:
    """A slice, a boolean mask and an index of rows give those rows of the full result."""
    backbone = make_backbone(make_config(), 6)
    ids = torch.randint(20, 200, (2, 6), generator=torch.Generator().manual_seed(3))
    mask = causal_mask(torch.ones(2, 6, dtype=torch.bool))
    arguments = (backbone.embed(ids), text_positions(torch.zeros(2, dtype=torch.long), 6), mask)
    whole = backbone(*arguments)
    chosen = torch.tensor([[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1]], dtype=torch.bool)
    torch.testing.assert_close(whole[:, 2:], backbone(*arguments, rows=slice(2, None)))
    torch.testing.assert_close(whole[chosen], backbone(*arguments, rows=chosen))
    index = torch.tensor([11, 0])
    torch.testing.assert_close(whole.flatten(0, 1)[index], backbone(*arguments, rows=index))

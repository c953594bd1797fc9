"""The decoders compared: they must differ in forwards, never in tokens (float32)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.decode import (
    Decoded,
    DecodeOptions,
    Decoder,
    decode_autoregressive,
    decode_fused,
    decode_multistep,
    decode_onestep,
)
from model.decode.context import DecodeContext
from model.network.backbone import Backbone
from model.network.config import BlockAnchor, ModelConfig, PromptAttention, Stage
from model.network.masks import causal_mask
from model.network.positions import next_positions, text_positions
from model.network.prompt import PromptBatch, build_prompt, collate_prompts
from model.network.tokenizer import ReportTokenizer

Make = Callable[..., ModelConfig]
MakeBackbone = Callable[[ModelConfig, int], Backbone]
MakePrompts = Callable[..., PromptBatch]

GRIDS = [
    (BlockAnchor.RESPONSE, PromptAttention.CAUSAL),
    (BlockAnchor.RESPONSE, PromptAttention.BLOCK),
    (BlockAnchor.SEQUENCE, PromptAttention.BLOCK),
]


def tokens(reports: tuple[Decoded, ...]) -> list[tuple[int, ...]]:
    return [report.tokens for report in reports]


@pytest.mark.parametrize(("anchor", "attention"), GRIDS)
@pytest.mark.parametrize("block_size", [4, 8, 16])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fused_equals_unfused(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_prompts: MakePrompts,
    block_size: int,
    seed: int,
    anchor: BlockAnchor,
    attention: PromptAttention,
) -> None:
    """One forward per block gives the same tokens as two."""
    config = make_config(block_size=block_size, block_anchor=anchor, prompt_attention=attention)
    backbone, prompts = make_backbone(config, seed), make_prompts(config, seed=seed)
    options = DecodeOptions.of(config, steps=1)
    fused = decode_fused(backbone, prompts, options)
    unfused = decode_onestep(backbone, prompts, options)
    assert tokens(unfused) == tokens(fused)
    assert [2 * report.blocks for report in unfused] == [report.forwards for report in unfused]
    assert [report.blocks for report in fused] == [report.forwards for report in fused]
    assert len(set(tokens(fused))) == len(fused)
    if anchor is BlockAnchor.RESPONSE:
        assert [-(-report.length // block_size) for report in fused] == [r.forwards for r in fused]
    for one, two in zip(fused, unfused, strict=True):
        torch.testing.assert_close(torch.tensor(one.confidences), torch.tensor(two.confidences))


@pytest.mark.parametrize("steps", [2, 4, 8])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_fused_equals_multistep_at_every_step_count(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_prompts: MakePrompts,
    steps: int,
    threshold: float | None,
) -> None:
    """A checkpoint that needs several steps loses nothing by fusing, and saves one forward per block."""
    config = make_config(block_size=8)
    backbone, prompts = make_backbone(config, 5), make_prompts(config)
    options = DecodeOptions.of(config, steps=steps, threshold=threshold)
    fused = decode_fused(backbone, prompts, options)
    plain = decode_multistep(backbone, prompts, options)
    assert tokens(plain) == tokens(fused)
    assert [report.forwards - report.blocks for report in plain] == [report.forwards for report in fused]


@pytest.mark.parametrize("decoder", [decode_autoregressive, decode_multistep, decode_onestep, decode_fused])
def test_batched_equals_single(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts, decoder: Decoder
) -> None:
    """A report does not depend on its batch: tokens, forwards and end are those of a batch of one."""
    config = make_config(block_size=4, confidence_threshold=0.3)
    backbone, prompts = make_backbone(config, 7), make_prompts(config, images=(2, 1, 1, 2))
    options = DecodeOptions.of(config)
    together = decoder(backbone, prompts, options)
    images = (prompts.grid_thw.shape[0], [2, 1, 1, 2])
    patches = prompts.pixel_values.shape[0] // images[0]
    first = 0
    for row, count in enumerate(images[1]):
        length = int(prompts.valid[row].sum())
        alone = PromptBatch(
            input_ids=prompts.input_ids[row : row + 1, :length],
            valid=prompts.valid[row : row + 1, :length],
            pixel_values=prompts.pixel_values[first * patches : (first + count) * patches],
            grid_thw=prompts.grid_thw[first : first + count],
            answered=prompts.answered[row : row + 1],
        )
        first += count
        (single,) = decoder(backbone, alone, options)
        assert (single.tokens, single.forwards, single.stopped) == (
            together[row].tokens,
            together[row].forwards,
            together[row].stopped,
        )


def test_autoregressive_equals_decoding_without_a_cache(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """The cache changes nothing: each token is the argmax of a full causal forward."""
    config = make_config(stage=Stage.AR, max_tokens=12)
    backbone, prompts = make_backbone(config, 11), make_prompts(config, images=(1,))
    (cached,) = decode_autoregressive(backbone, prompts, DecodeOptions.of(config))
    features = backbone.encode_images(prompts.pixel_values, prompts.grid_thw)
    positions = backbone.positions(prompts.input_ids, prompts.grid_thw, prompts.valid)
    expected: list[int] = []
    while len(expected) < config.max_tokens:
        embeds = backbone.embed(prompts.input_ids, features)
        answer = text_positions(next_positions(positions, prompts.valid), len(expected))
        if expected:
            embeds = torch.cat([embeds, backbone.embed(torch.tensor([expected]))], dim=1)
        mask = causal_mask(torch.ones(embeds.shape[:2], dtype=torch.bool))
        logits = backbone(embeds, torch.cat([positions, answer], dim=2), mask)[0, -1]
        logits[[config.mask_token_id, config.shape.image_token_id]] = -torch.inf
        token = int(logits.argmax())
        if token == config.eos_token_id:
            break
        expected.append(token)
    assert tuple(expected) == cached.tokens
    assert cached.forwards == cached.length


@pytest.mark.parametrize(("anchor", "attention"), GRIDS)
def test_first_block_in_the_prefill_equals_a_separate_forward(
    make_config: Make,
    make_backbone: MakeBackbone,
    make_prompts: MakePrompts,
    anchor: BlockAnchor,
    attention: PromptAttention,
) -> None:
    """The block's masks run with the prompt and change neither its keys and values nor their own logits."""
    config = make_config(block_size=8, block_anchor=anchor, prompt_attention=attention)
    backbone, prompts = make_backbone(config, 3), make_prompts(config)
    options = DecodeOptions.of(config)
    with torch.inference_mode():
        together, apart = (DecodeContext(backbone, prompts, options) for _ in range(2))
        inside = together.prefill_block()
        apart.prefill()
        separate = apart.denoise(apart.block)
    torch.testing.assert_close(inside, separate, rtol=1e-4, atol=1e-4)
    for slot, start in enumerate(together.starts.tolist()):
        torch.testing.assert_close(
            together.cache.keys[:, slot, :, :start],
            apart.cache.keys[:, slot, :, :start],
            rtol=1e-4,
            atol=1e-4,
        )


def test_top_one_ignores_an_unreachable_threshold(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """Where nothing is confident enough, each of as many steps as tokens settles the most confident token."""
    config = make_config(block_size=8)
    backbone, prompts = make_backbone(config, 13), make_prompts(config, images=(2, 1))
    counts: list[list[int]] = []

    def observe(_block: int, _step: int, accepted: torch.Tensor, *_: torch.Tensor) -> None:
        counts.append(accepted.sum(dim=1).tolist())

    top_one = decode_multistep(backbone, prompts, DecodeOptions.of(config, steps=8), observe=observe)
    unreachable = replace(DecodeOptions.of(config, steps=8), threshold=1.1)
    assert tokens(decode_multistep(backbone, prompts, unreachable)) == tokens(top_one)
    assert [[1, 1]] * len(counts) == counts


def test_t3d_decoding_settles_two_tokens_per_forward(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """Half as many steps as tokens: every step commits exactly two."""
    config = make_config(block_size=8, denoising_steps=4, stage=Stage.T3D)
    backbone, prompts = make_backbone(config, 17), make_prompts(config, images=(1,))
    counts: list[int] = []

    def observe(_block: int, _step: int, accepted: torch.Tensor, *_: torch.Tensor) -> None:
        counts.append(int(accepted.sum()))

    decode_multistep(backbone, prompts, DecodeOptions.of(config), observe=observe)
    assert {2} == set(counts)


def test_decoder_stops_at_the_end_token_inside_a_block(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """A report ends at its first end token; the rest of the block is dropped."""
    config = make_config(block_size=8)
    backbone, prompts = make_backbone(config, 1), make_prompts(config, images=(2,))
    free = decode_fused(backbone, prompts, DecodeOptions.of(config, steps=1))[0]
    assert not free.stopped
    end = free.tokens[10]
    first = free.tokens.index(end)
    (ended,) = decode_fused(backbone, prompts, replace(DecodeOptions.of(config, steps=1), eos_token_id=end))
    assert free.tokens[:first] == ended.tokens
    assert ended.stopped
    assert first + 1 == ended.length
    assert -(-ended.length // 8) == ended.forwards == len(ended.block_confidences)
    assert len(ended.confidences) == len(ended.tokens)
    assert free.confidences[:first] == ended.confidences


def test_decoder_cuts_at_the_longest_report(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts
) -> None:
    """`max_tokens` need not be a multiple of the block size."""
    config = make_config(block_size=8)
    backbone, prompts = make_backbone(config, 1), make_prompts(config, images=(2,))
    (report,) = decode_fused(backbone, prompts, DecodeOptions.of(config, steps=1, max_tokens=13))
    assert (len(report.tokens), report.forwards, report.stopped) == (13, 2, False)


@pytest.mark.parametrize("decoder", [decode_autoregressive, decode_fused])
def test_mask_and_image_tokens_are_never_chosen(
    make_config: Make, make_backbone: MakeBackbone, make_prompts: MakePrompts, decoder: Decoder
) -> None:
    """Even a network that prefers these tokens writes words."""
    config = make_config(block_size=4)
    backbone, prompts = make_backbone(config, 1), make_prompts(config, images=(1,))
    unwanted = [config.mask_token_id, config.shape.image_token_id]
    with torch.no_grad():
        backbone.network.lm_head.weight[unwanted] *= 100
    (report,) = decoder(backbone, prompts, DecodeOptions.of(config))
    assert not set(unwanted) & set(report.tokens)


@pytest.mark.parametrize(("anchor", "attention"), GRIDS)
@pytest.mark.parametrize("decoder", [decode_fused, decode_multistep])
def test_a_report_can_be_continued_from_any_block(
    make_config: Make,
    make_backbone: MakeBackbone,
    tokenizer: ReportTokenizer,
    decoder: Decoder,
    anchor: BlockAnchor,
    attention: PromptAttention,
) -> None:
    """Given its first blocks, a decoder writes the rest as if it had never stopped."""
    config = make_config(block_size=4, block_anchor=anchor, prompt_attention=attention, max_tokens=24)
    backbone = make_backbone(config, 19)
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (40, 40), dtype=np.uint8) for _ in range(2)]
    prompts = [build_prompt(tokenizer, config, images[:n], indication="x" * n) for n in (1, 2)]
    options = DecodeOptions.of(config, steps=2)
    whole = decoder(backbone, collate_prompts(prompts, config, tokenizer.pad_id), options)
    tail = [len(p.input_ids) % 4 if anchor is BlockAnchor.SEQUENCE else 0 for p in prompts]
    kept = [8 - tail[0], 16 - tail[1]]
    begun = [
        replace(prompt, answer=report.tokens[:n])
        for prompt, report, n in zip(prompts, whole, kept, strict=True)
    ]
    rest = decoder(backbone, collate_prompts(begun, config, tokenizer.pad_id), replace(options, max_tokens=8))
    assert [(r.tokens[n : n + 8]) for r, n in zip(whole, kept, strict=True)] == tokens(rest)

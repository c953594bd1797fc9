"""Images and context as model input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.errors import PromptError
from model.network.config import INSTRUCTION, ModelConfig, PromptPolicy, SizePolicy
from model.network.prompt import (
    build_prompt,
    chosen_views,
    collate_prompts,
    fit_image,
    longest_prompt,
    patchify,
    prepare_image,
    prompt_ids,
)
from model.network.tokenizer import ReportTokenizer

Make = Callable[..., ModelConfig]


def test_image_keeps_its_aspect_ratio() -> None:
    """A wide white image becomes a white band between two black bands."""
    image = prepare_image(np.full((30, 60), 255, dtype=np.uint8), 60)
    assert image.mean(dim=1).tolist() == [0.0] * 15 + [1.0] * 30 + [0.0] * 15


def test_image_is_antialiased() -> None:
    """A fine checkerboard shrinks to its mean value, not to one of its two values."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = prepare_image(board, 8)
    torch.testing.assert_close(image, torch.full((8, 8), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.int16), np.zeros((0, 4), np.uint8)]
)
def test_image_of_another_kind_is_refused(pixels: np.ndarray) -> None:
    """Colour, signed and empty images are refused with a clear message."""
    with pytest.raises(PromptError, match="must be uint8"):
        prepare_image(pixels, 28)


def test_patches_are_in_the_order_of_qwen(make_config: Make) -> None:
    """Four patches of a merged token, then the next token; inside a patch: channel, frame, row, column."""
    config = make_config()
    image = torch.rand(1, 56, 56, generator=torch.Generator().manual_seed(0))
    patches, grid = patchify(image, config)
    assert grid.tolist() == [[1, 4, 4]]
    assert tuple(patches.shape) == (16, 3 * 2 * 14 * 14)
    seen = patches.view(16, 3, 2, 14, 14)
    corners = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 0)]
    for index, (row, column) in enumerate(corners):
        tile = image[0, row * 14 : row * 14 + 14, column * 14 : column * 14 + 14]
        for frame in range(2):
            torch.testing.assert_close(tile, seen[index, 1, frame] * 0.26130258 + 0.4578275)


def test_prompt_names_what_is_known(tokenizer: ReportTokenizer) -> None:
    """Images first, then the instruction; unknown context is left out."""
    bare = prompt_ids(tokenizer, [4, 4])
    known = prompt_ids(tokenizer, [4, 4], indication="cough", comparison=" 2020 ")
    assert f"user\n{INSTRUCTION}\nassistant\n" == tokenizer.decode(bare)
    assert f"user\n{INSTRUCTION} Indication: cough Comparison: 2020\nassistant\n" == tokenizer.decode(known)
    assert bare.count(tokenizer.image_id) == 8
    assert bare.index(tokenizer.image_id) < bare.index(tokenizer.encode(INSTRUCTION)[0])


def test_prompt_has_a_placeholder_for_every_visual_token(
    tokenizer: ReportTokenizer, make_config: Make
) -> None:
    """Their number follows from the configuration's image size."""
    config = make_config(image_size=84)
    prompt = build_prompt(tokenizer, config, [np.zeros((9, 9), np.uint8)])
    assert 9 == config.image_tokens == prompt.input_ids.count(tokenizer.image_id)
    assert [tuple(image.shape) for image in prompt.images] == [(84, 84)]


def test_prompt_without_images_is_refused(tokenizer: ReportTokenizer, make_config: Make) -> None:
    """A report needs at least one image."""
    with pytest.raises(PromptError, match="at least one image"):
        build_prompt(tokenizer, make_config(), [])


def test_prompts_are_padded_on_the_right(tokenizer: ReportTokenizer, make_config: Make) -> None:
    """In a batch, each prompt starts at column 0."""
    config = make_config()
    image = np.zeros((9, 9), np.uint8)
    prompts = [build_prompt(tokenizer, config, [image] * n) for n in (1, 2)]
    batch = collate_prompts(prompts, config, tokenizer.pad_id)
    lengths = [len(prompt.input_ids) for prompt in prompts]
    assert lengths == batch.valid.sum(dim=1).tolist()
    assert list(prompts[0].input_ids) == batch.input_ids[0, : lengths[0]].tolist()
    assert {tokenizer.pad_id} == set(batch.input_ids[0, lengths[0] :].tolist())
    assert (len(batch.grid_thw), len(batch.pixel_values)) == (3, 3 * 16)


def test_long_context_is_cut(tokenizer: ReportTokenizer, make_config: Make) -> None:
    """A prompt with a very long indication stays within the maximum length."""
    config = make_config(reads_context=True)
    ids = prompt_ids(
        tokenizer, [config.image_tokens] * 2, indication="cough " * 200, comparison="zebra " * 200
    )
    assert len(ids) == longest_prompt(tokenizer, config)
    assert ids[-4:] == prompt_ids(tokenizer, [config.image_tokens] * 2)[-4:]
    bare = make_config(reads_context=False)
    assert longest_prompt(tokenizer, bare) == len(prompt_ids(tokenizer, [bare.image_tokens] * 2))


def test_sixteen_bits_are_read_as_sixteen(make_config: Make) -> None:
    """Half of a 16-bit range is half of the brightness: no clipping to 255, no reduction to 8 bits."""
    image = prepare_image(np.full((8, 8), 32768, dtype=np.uint16), 8)
    torch.testing.assert_close(image, torch.full((8, 8), 32768 / 65535), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(100, 60), (60, 100), (500, 300), (57, 56), (20, 300)])
def test_aspect_policy_is_that_of_the_published_processor(make_config: Make, height: int, width: int) -> None:
    """Size, grid and pixel values agree with transformers' image processor of Qwen2.5-VL."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    config = make_config(size_policy=SizePolicy.ASPECT, min_pixels=56 * 56, max_pixels=28 * 28 * 40)
    pixels = np.random.default_rng(3).integers(0, 256, (height // 4, width // 4), dtype=np.uint8)
    pixels = pixels.repeat(4, axis=0).repeat(4, axis=1)
    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels}
    )
    wanted = processor(np.stack([pixels] * 3, axis=2), return_tensors="pt")

    values, grid = patchify([fit_image(pixels, config)], config)

    assert wanted["image_grid_thw"].tolist() == grid.tolist()
    # The published processor rounds and clips to 8 bits after each direction; one step is 0.015 here.
    difference = (wanted["pixel_values"] - values).abs()
    assert float(difference.mean()) < 0.01
    assert float(difference.max()) < 0.2


def test_the_checkpoint_says_how_it_is_asked(tokenizer: ReportTokenizer) -> None:
    """The policy gives a system turn, the instruction in a language, or no turns at all."""
    asked = PromptPolicy(instruction="Was zeigt das Bild?", system="You are a helpful assistant.")
    turns = tokenizer.decode(prompt_ids(tokenizer, [1], policy=asked))
    plain = prompt_ids(tokenizer, [1], policy=PromptPolicy(chat_template=False))

    expected = "system\nYou are a helpful assistant.\nuser\nWas zeigt das Bild?\nassistant\n"
    assert expected == turns
    assert f"{INSTRUCTION}\n" == tokenizer.decode(plain)
    assert tokenizer.special("<|im_start|>") not in plain


@pytest.mark.parametrize(
    ("views", "order", "expected"),
    [
        (["lateral", "frontal"], ("frontal", "lateral"), [1, 0]),
        (["lateral", "frontal"], ("lateral", "frontal"), [0, 1]),
        (["unknown", "frontal", "frontal"], ("frontal", "lateral"), [1]),
        (["unknown", "lateral", "lateral"], ("frontal", "lateral"), [0, 1]),
        (["lateral"], ("frontal", "lateral"), [0]),
    ],
)
def test_one_image_of_each_view_is_chosen(
    make_config: Make, views: list[str], order: tuple[str, ...], expected: list[int]
) -> None:
    """The first of each view, in the checkpoint's order; an unknown view replaces a missing frontal."""
    assert expected == chosen_views(views, make_config(image_order=order))

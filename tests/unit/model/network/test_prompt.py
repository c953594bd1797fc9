"""Images and context as model input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.errors import PromptError
from model.network.config import ModelConfig
from model.network.prompt import (
    INSTRUCTION,
    build_prompt,
    collate_prompts,
    longest_prompt,
    patchify,
    prepare_image,
    prompt_ids,
)
from model.network.tokenizer import ReportTokenizer

Make = Callable[..., ModelConfig]


def test_image_keeps_its_aspect_ratio() -> None:
    """A wide white image becomes a white band between two black ones."""
    image = prepare_image(np.full((30, 60), 255, dtype=np.uint8), 60)
    assert image.mean(dim=1).tolist() == [0.0] * 15 + [1.0] * 30 + [0.0] * 15


def test_image_is_antialiased() -> None:
    """A fine checkerboard shrinks to its mean, not to one of its colours."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = prepare_image(board, 8)
    torch.testing.assert_close(image, torch.full((8, 8), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16), np.zeros((0, 4), np.uint8)]
)
def test_image_of_another_kind_is_refused(pixels: np.ndarray) -> None:
    """Colour, 16 bit and empty images are the caller's mistake, said in words."""
    with pytest.raises(PromptError, match="must be uint8"):
        prepare_image(pixels, 28)


def test_patches_are_in_the_order_of_qwen(make_config: Make) -> None:
    """Four neighbours of a merged token, then the next token; inside: channel, frame, row, column."""
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
    """Images first, then the instruction; unknown context leaves no trace."""
    bare = prompt_ids(tokenizer, 2, 4)
    known = prompt_ids(tokenizer, 2, 4, indication="cough", comparison=" 2020 ")
    assert f"user\n{INSTRUCTION}\nassistant\n" == tokenizer.decode(bare)
    assert f"user\n{INSTRUCTION} Indication: cough Comparison: 2020\nassistant\n" == tokenizer.decode(known)
    assert bare.count(tokenizer.image_id) == 8
    assert bare.index(tokenizer.image_id) < bare.index(tokenizer.encode(INSTRUCTION)[0])


def test_prompt_has_a_placeholder_for_every_visual_token(
    tokenizer: ReportTokenizer, make_config: Make
) -> None:
    """The configuration's image size decides how many."""
    config = make_config(image_size=84)
    prompt = build_prompt(tokenizer, config, [np.zeros((9, 9), np.uint8)])
    assert 9 == config.image_tokens == prompt.input_ids.count(tokenizer.image_id)
    assert tuple(prompt.images.shape) == (1, 84, 84)


def test_prompt_without_images_is_refused(tokenizer: ReportTokenizer, make_config: Make) -> None:
    """There is no report without a film."""
    with pytest.raises(PromptError, match="at least one image"):
        build_prompt(tokenizer, make_config(), [])


def test_prompts_are_padded_on_the_right(tokenizer: ReportTokenizer, make_config: Make) -> None:
    """A batch keeps each prompt from column 0 on."""
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
    """An indication that goes on and on leaves the prompt within its greatest length."""
    config = make_config(reads_context=True)
    ids = prompt_ids(tokenizer, 2, config.image_tokens, indication="cough " * 200, comparison="zebra " * 200)
    assert len(ids) == longest_prompt(tokenizer, config)
    assert ids[-4:] == prompt_ids(tokenizer, 2, config.image_tokens)[-4:]
    bare = make_config(reads_context=False)
    assert longest_prompt(tokenizer, bare) == len(prompt_ids(tokenizer, 2, bare.image_tokens))

"""A study's images and context as model input: pixels, patches and the tokens of one user turn.

The same functions serve training and inference, so that a checkpoint sees what it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from model.errors import PromptError
from model.network.config import ModelConfig
from model.network.tokenizer import TURN_END, TURN_START, VISION_END, VISION_START, ReportTokenizer

INSTRUCTION = "Describe the chest radiograph: findings by region, then the impression."
# Every fixed word of a prompt; a small vocabulary must contain them.
PROMPT_WORDS = (f"user\n{INSTRUCTION}", " Indication: x Comparison: none.", "\nassistant\n")

# More of an indication or a comparison than this is left out, in tokens: it must not crowd out the images.
LONGEST_CONTEXT = 128
MOST_IMAGES = 2  # one frontal, one lateral

# The statistics that Qwen2.5-VL's vision tower was trained with (those of CLIP), per RGB channel.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One study: token ids with one placeholder per visual token, and its prepared images `[n, S, S]`.

    answer: the first blocks of a report that is to be continued.
    """

    input_ids: tuple[int, ...]
    images: Tensor
    answer: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBatch:
    """Prompts of one forward, right-padded.

    input_ids: int `[S, P]`; valid: bool `[S, P]`; pixel_values: float `[patches, C*T*p*p]` of all images
    in order; grid_thw: int `[images, 3]` in patches; answered: int `[S]`, how many of a row's last tokens
    are the report's own, whole blocks of it, to be continued.
    """

    input_ids: Tensor
    valid: Tensor
    pixel_values: Tensor
    grid_thw: Tensor
    answered: Tensor

    def to(self, device: torch.device) -> PromptBatch:
        """The same batch on `device`."""
        return PromptBatch(
            input_ids=self.input_ids.to(device),
            valid=self.valid.to(device),
            pixel_values=self.pixel_values.to(device),
            grid_thw=self.grid_thw,  # sizes are read on the host
            answered=self.answered.to(device),
        )


def prepare_image(pixels: npt.NDArray[np.uint8], image_size: int) -> Tensor:
    """Pads to a square with black, centred, and resizes with antialiasing: float `[S, S]` in 0..1.

    pixels: uint8 `[H, W]`, bright is dense. The aspect ratio is kept. Raises: PromptError.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or not pixels.size:
        raise PromptError(f"an image must be uint8 [H, W], not {pixels.dtype} {list(pixels.shape)}")
    height, width = pixels.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), dtype=np.float32)
    square[top : top + height, left : left + width] = pixels
    image = torch.from_numpy(square)[None, None] / 255.0  # [1, 1, side, side]
    if side != image_size:
        size = (image_size, image_size)
        image = functional.interpolate(image, size=size, mode="bilinear", antialias=True, align_corners=False)
    return image[0, 0].clamp_(0.0, 1.0)


def patchify(images: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Grey images `[n, S, S]` in 0..1 as Qwen2.5-VL's `pixel_values` and grid.

    Returns float `[n * patches, C*T*p*p]` (channel, frame, row, column inside a patch; a still image
    fills every frame; the patches of one merged token are neighbours) and int `[n, 3]` in patches.
    """
    shape = config.shape
    patch, merge, frames = shape.patch, shape.merge, shape.temporal_patch
    count, rows, columns = images.shape[0], images.shape[1] // patch, images.shape[2] // patch
    grid = torch.tensor([[1, rows, columns]]).expand(count, 3)
    tiles = images.reshape(count, rows // merge, merge, patch, columns // merge, merge, patch)
    tiles = tiles.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, 1, 1, patch * patch)  # [patches, 1, 1, p*p]
    mean = torch.tensor(_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(_STD, device=images.device)[:, None, None]
    channels = (tiles - mean) / std  # [patches, C, 1, p*p]
    return channels.expand(-1, -1, frames, -1).flatten(1), grid


def prompt_ids(
    tokenizer: ReportTokenizer,
    images: int,
    image_tokens: int,
    *,
    indication: str = "",
    comparison: str = "",
) -> tuple[int, ...]:
    """One user turn, images first (frontal first, then lateral), then the instruction and what is known.

    images: how many; image_tokens: visual tokens of each. indication, comparison: what is known besides the
    pixels; empty means unknown. The turn of the assistant is opened, so the
    next token is the first of the report.
    """
    known = {"Indication": indication.strip(), "Comparison": comparison.strip()}
    parts = [tokenizer.encode(f" {name}: {text}")[:LONGEST_CONTEXT] for name, text in known.items() if text]
    image = [
        tokenizer.special(VISION_START),
        *[tokenizer.image_id] * image_tokens,
        tokenizer.special(VISION_END),
    ]
    return (
        tokenizer.special(TURN_START),
        *tokenizer.encode("user\n"),
        *image * images,
        *tokenizer.encode(INSTRUCTION),
        *[token for part in parts for token in part],
        tokenizer.special(TURN_END),
        *tokenizer.encode("\n"),
        tokenizer.special(TURN_START),
        *tokenizer.encode("assistant\n"),
    )


def longest_prompt(tokenizer: ReportTokenizer, config: ModelConfig) -> int:
    """The most tokens that a prompt of this model can have."""
    bare = len(prompt_ids(tokenizer, MOST_IMAGES, config.image_tokens))
    return bare + (2 * LONGEST_CONTEXT if config.reads_context else 0)


def build_prompt(
    tokenizer: ReportTokenizer,
    config: ModelConfig,
    images: Sequence[npt.NDArray[np.uint8]],
    *,
    indication: str = "",
    comparison: str = "",
) -> Prompt:
    """A study's prompt from its images uint8 `[H, W]`, frontal first. Raises: PromptError without images."""
    if not images:
        raise PromptError("a study needs at least one image")
    prepared = torch.stack([prepare_image(pixels, config.image_size) for pixels in images])
    ids = prompt_ids(
        tokenizer, len(images), config.image_tokens, indication=indication, comparison=comparison
    )
    return Prompt(input_ids=ids, images=prepared)


def collate_prompts(prompts: Sequence[Prompt], config: ModelConfig, pad_id: int) -> PromptBatch:
    """Right-pads prompts to one length and lays their images out as patches."""
    rows = [prompt.input_ids + prompt.answer for prompt in prompts]
    length = max(len(row) for row in rows)
    valid = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    pixel_values, grid = patchify(torch.cat([prompt.images for prompt in prompts]), config)
    return PromptBatch(
        input_ids=torch.tensor([row + (pad_id,) * (length - len(row)) for row in rows]),
        valid=valid,
        pixel_values=pixel_values,
        grid_thw=grid,
        answered=torch.tensor([len(prompt.answer) for prompt in prompts]),
    )

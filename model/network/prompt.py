"""A study's images and context as model input: pixels, patches and the tokens of one user turn.

Training and inference use the same functions, so that a checkpoint gets the input that it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from model.errors import PromptError
from model.network.config import INSTRUCTION, ModelConfig, PromptPolicy, SizePolicy
from model.network.tokenizer import TURN_END, TURN_START, VISION_END, VISION_START, ReportTokenizer

# Every fixed word of a prompt; a small vocabulary must contain them.
PROMPT_WORDS = (f"user\n{INSTRUCTION}", " Indication: x Comparison: none.", "\nassistant\n")

# An indication or a comparison is cut to this many tokens, so that it does not displace the images.
LONGEST_CONTEXT = 128
MOST_IMAGES = 2  # one frontal, one lateral

# The normalisation of Qwen2.5-VL's vision tower (CLIP's mean and standard deviation), per RGB channel.
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One study: token ids with one placeholder per visual token, and its prepared images, `[H, W]` each.

    answer: the first blocks of a report that is to be continued.
    """

    input_ids: tuple[int, ...]
    images: tuple[Tensor, ...]
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


def prepare_image(pixels: Pixels, image_size: int) -> Tensor:
    """Pads to a square with black, centred, and resizes with antialiasing: float `[S, S]` in 0..1.

    pixels: uint8 or uint16 `[H, W]`, bright is dense, 0 to the type's greatest value. The aspect ratio is
    kept. Raises: PromptError.
    """
    height, width = _checked(pixels).shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = torch.zeros(1, 1, side, side)
    square[0, 0, top : top + height, left : left + width] = _unit_range(pixels)
    if side != image_size:
        size = (image_size, image_size)
        square = functional.interpolate(
            square, size=size, mode="bilinear", antialias=True, align_corners=False
        )
    return square[0, 0].clamp_(0.0, 1.0)


def aspect_size(height: int, width: int, config: ModelConfig) -> tuple[int, int]:
    """Rows and columns (pixels) of an image under `SizePolicy.ASPECT`: whole tokens in each direction.

    Raises:
        PromptError for an image more than 200 times as long as it is wide.
        Source: the image processor of Qwen2-VL and Qwen2.5-VL.
    """
    if max(height, width) > 200 * min(height, width):
        raise PromptError(f"an image of {height} x {width} px is too narrow to be read")
    unit = config.shape.patch * config.shape.merge
    rows, columns = round(height / unit) * unit, round(width / unit) * unit
    if rows * columns > config.max_pixels:
        shrink = math.sqrt(height * width / config.max_pixels)
        rows = max(unit, math.floor(height / shrink / unit) * unit)
        columns = max(unit, math.floor(width / shrink / unit) * unit)
    elif rows * columns < config.min_pixels:
        grow = math.sqrt(config.min_pixels / (height * width))
        rows = math.ceil(height * grow / unit) * unit
        columns = math.ceil(width * grow / unit) * unit
    return rows, columns


def fit_image(pixels: Pixels, config: ModelConfig) -> Tensor:
    """Prepares an image by the checkpoint's size policy: float `[rows, columns]` in 0..1.

    pixels: as for `prepare_image`. Raises: PromptError.
    """
    if config.size_policy is SizePolicy.SQUARE:
        return prepare_image(pixels, config.image_size)
    height, width = _checked(pixels).shape
    size = aspect_size(height, width, config)
    image = _unit_range(pixels)[None, None]
    if size != pixels.shape:
        # Bicubic, like the published processor; a bright edge may overshoot the range.
        image = functional.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)
    return image[0, 0].clamp_(0.0, 1.0)


def _checked(pixels: Pixels) -> Pixels:
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise PromptError(f"an image must be uint8 or uint16 [H, W], not {pixels.dtype} {list(pixels.shape)}")
    return pixels


def _unit_range(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32)) / float(np.iinfo(pixels.dtype).max)


def patchify(images: Sequence[Tensor] | Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Grey images, `[rows, columns]` each, in 0..1 as Qwen2.5-VL's `pixel_values` and grid.

    Returns float `[patches, C*T*p*p]` of all images in order (channel, frame, row, column inside a patch;
    a still image fills every frame; the patches of one merged token are neighbours) and int `[n, 3]` in
    patches. A tensor `[n, rows, columns]` is n images of one size.
    """
    if isinstance(images, Tensor):
        return _patchify_equal(images, config)
    parts = []
    first = 0
    while first < len(images):
        last = first
        while last < len(images) and images[last].shape == images[first].shape:
            last += 1
        parts.append(_patchify_equal(torch.stack(list(images[first:last])), config))
        first = last
    return torch.cat([values for values, _ in parts]), torch.cat([grid for _, grid in parts])


def _patchify_equal(images: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    shape = config.shape
    patch, merge, frames = shape.patch, shape.merge, shape.temporal_patch
    count, rows, columns = images.shape[0], images.shape[1] // patch, images.shape[2] // patch
    grid = torch.tensor([[1, rows, columns]]).expand(count, 3)
    tiles = images.reshape(count, rows // merge, merge, patch, columns // merge, merge, patch)
    tiles = tiles.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, 1, 1, patch * patch)  # [patches, 1, 1, p*p]
    mean = torch.tensor(IMAGE_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(IMAGE_STD, device=images.device)[:, None, None]
    channels = (tiles - mean) / std  # [patches, C, 1, p*p]
    return channels.expand(-1, -1, frames, -1).flatten(1), grid


def visual_tokens(image: Tensor, config: ModelConfig) -> int:
    """Visual tokens of a prepared image `[rows, columns]` after merging."""
    unit = config.shape.patch * config.shape.merge
    return (image.shape[0] // unit) * (image.shape[1] // unit)


def chosen_views(views: Sequence[str], config: ModelConfig) -> list[int]:
    """The images of a study that the network sees, in its order: the first frontal and the first lateral one.

    An image of unknown view counts as frontal if no image is stated to be.
    """
    frontal = [i for i, view in enumerate(views) if view == "frontal"]
    unknown = [i for i, view in enumerate(views) if view not in ("frontal", "lateral")]
    lateral = [i for i, view in enumerate(views) if view == "lateral"]
    found = {"frontal": (frontal or unknown)[:1], "lateral": lateral[:1]}
    return [index for view in config.image_order for index in found[view]]


def prompt_ids(
    tokenizer: ReportTokenizer,
    image_tokens: Sequence[int],
    *,
    indication: str = "",
    comparison: str = "",
    policy: PromptPolicy | None = None,
) -> tuple[int, ...]:
    """The images, then the instruction and the context; by default as one user turn.

    image_tokens: visual tokens of each image. indication, comparison: what is known besides the pixels; empty
    means unknown. The assistant's turn is opened, so the next token is the first of the report.
    """
    policy = policy or PromptPolicy()
    known = {"Indication": indication.strip(), "Comparison": comparison.strip()}
    parts = [tokenizer.encode(f" {name}: {text}")[:LONGEST_CONTEXT] for name, text in known.items() if text]
    start, end = tokenizer.special(VISION_START), tokenizer.special(VISION_END)
    images = [token for count in image_tokens for token in (start, *[tokenizer.image_id] * count, end)]
    asked = (*images, *tokenizer.encode(policy.instruction), *[token for part in parts for token in part])
    if not policy.chat_template:
        return (*asked, *tokenizer.encode("\n"))
    turn, over, line = tokenizer.special(TURN_START), tokenizer.special(TURN_END), tokenizer.encode("\n")
    system = (turn, *tokenizer.encode(f"system\n{policy.system}"), over, *line) if policy.system else ()
    opened = (turn, *tokenizer.encode("assistant\n"))
    return (*system, turn, *tokenizer.encode("user\n"), *asked, over, *line, *opened)


def longest_prompt(tokenizer: ReportTokenizer, config: ModelConfig) -> int:
    """The most tokens that a prompt of this model can have."""
    bare = len(prompt_ids(tokenizer, [config.image_tokens] * MOST_IMAGES, policy=config.prompt))
    return bare + (2 * LONGEST_CONTEXT if config.reads_context else 0)


def build_prompt(
    tokenizer: ReportTokenizer,
    config: ModelConfig,
    images: Sequence[Pixels],
    *,
    indication: str = "",
    comparison: str = "",
) -> Prompt:
    """A study's prompt from its images `[H, W]`, in the checkpoint's order.

    Raises:
        PromptError without images.
    """
    if not images:
        raise PromptError("a study needs at least one image")
    prepared = tuple(fit_image(pixels, config) for pixels in images)
    counts = [visual_tokens(image, config) for image in prepared]
    ids = prompt_ids(tokenizer, counts, indication=indication, comparison=comparison, policy=config.prompt)
    return Prompt(input_ids=ids, images=prepared)


def collate_prompts(prompts: Sequence[Prompt], config: ModelConfig, pad_id: int) -> PromptBatch:
    """Right-pads prompts to one length and lays their images out as patches."""
    rows = [prompt.input_ids + prompt.answer for prompt in prompts]
    length = max(len(row) for row in rows)
    valid = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    pixel_values, grid = patchify([image for prompt in prompts for image in prompt.images], config)
    return PromptBatch(
        input_ids=torch.tensor([row + (pad_id,) * (length - len(row)) for row in rows]),
        valid=valid,
        pixel_values=pixel_values,
        grid_thw=grid,
        answered=torch.tensor([len(prompt.answer) for prompt in prompts]),
    )

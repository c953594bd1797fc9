"""Weights of layers and head in int8, and the check that the model still writes the same reports.

Each output of a matrix has one scale; rows stay in the network's own type. That halves the memory of a
bfloat16 network and quarters that of a float32 one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.decode import DecodeOptions
from model.decode.engine import Engine
from model.errors import QuantizationError
from model.network.checkpoint import Checkpoint
from model.network.prompt import Prompt, build_prompt

PROBE_TOKENS = 64  # the beginning of each report
LEAST_AGREEMENT = 0.97
# torch's int8 kernel for CPUs is fastest for a few rows, and only works with bfloat16.
_FEW_ROWS = 32


def int8_linear(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """The matrix `[out, in]` in int8, rounded to 1/127 of each row's largest weight."""
    scale = weight.float().abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / 127.0  # [out]
    rounded = (weight.float() / scale[:, None]).round().to(torch.int8)
    scale = scale.to(weight.dtype)
    on_cpu = weight.device.type == "cpu"

    def linear(rows: Tensor) -> Tensor:
        if on_cpu and rows.dtype is torch.bfloat16 and rows.numel() <= _FEW_ROWS * rows.shape[-1]:
            flat = rows.reshape(-1, rows.shape[-1])
            product = torch._weight_int8pack_mm(flat, rounded, scale).view(*rows.shape[:-1], -1)
        else:
            product = functional.linear(rows, rounded.to(rows.dtype)) * scale
        return product if bias is None else product + bias

    return linear


def quantize(
    checkpoint: Checkpoint, probes: Sequence[NDArray[np.uint8]], *, least: float = LEAST_AGREEMENT
) -> float:
    """Converts the checkpoint's layers and head to int8, for inference only.

    Before and after it drafts the beginnings of the reports on `probes`; returns the share of tokens in
    0..1 that are the same. probes: at least one image, [H, W], 0 to 255. least: the share below which it
    refuses.
    Raises:
        QuantizationError; the checkpoint is unusable after that and must be loaded again.
    """
    if not probes:
        raise QuantizationError("int8 needs at least one test image to compare reports on")
    prompts = [build_prompt(checkpoint.tokenizer, checkpoint.config, [image]) for image in probes]
    before = _drafts(checkpoint, prompts)
    checkpoint.backbone.prepare_for_inference(int8_linear)
    same = agreement(before, _drafts(checkpoint, prompts))
    if same < least:
        raise QuantizationError(
            f"with int8 weights only {same:.1%} of the tokens stay the same on {len(probes)} test images, "
            f"and at least {least:.0%} are required: set model.quantization to none"
        )
    return same


def agreement(some: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> float:
    """The share of positions at which two sets of reports, given as tokens, have the same token."""
    pairs = [pair for one, other in zip(some, others, strict=True) for pair in zip_longest(one, other)]
    return sum(int(a == b) for a, b in pairs) / max(1, len(pairs))


def _drafts(checkpoint: Checkpoint, prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    longest = min(PROBE_TOKENS, checkpoint.config.max_tokens)
    engine = Engine(
        checkpoint.backbone,
        checkpoint.config,
        pad_id=checkpoint.tokenizer.pad_id,
        slots=1,
        longest_prompt=max(len(prompt.input_ids) for prompt in prompts),
        longest_report=longest,
        graphs=False,
    )
    options = DecodeOptions.of(checkpoint.config, max_tokens=longest)
    return [report.tokens for report in engine.decode(prompts, options)]

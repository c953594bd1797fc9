"""One step per block, unfused: a denoising forward, then a commit forward.

With a Base checkpoint this is the naive one-step baseline; with an ECHO checkpoint it is the reference that
the fused decoder must reproduce token for token.
"""

from __future__ import annotations

from dataclasses import replace

from model.decode.multistep import decode_multistep
from model.decode.options import Decoded, DecodeOptions, Observer
from model.network.backbone import Backbone
from model.network.prompt import PromptBatch


def decode_onestep(
    backbone: Backbone, prompts: PromptBatch, options: DecodeOptions, *, observe: Observer | None = None
) -> tuple[Decoded, ...]:
    """Forwards per report: two per block, plus the prefill, minus the last block's commit."""
    return decode_multistep(backbone, prompts, replace(options, steps=1, threshold=None), observe=observe)

"""Autoregressive decoding with the static cache: one token per forward. The strong baseline."""

from __future__ import annotations

from dataclasses import replace

import torch

from model.decode.commit import choose
from model.decode.context import DecodeContext
from model.decode.options import Decoded, DecodeOptions, Observer
from model.decode.transcript import Transcript
from model.network.backbone import Backbone
from model.network.config import BlockAnchor
from model.network.prompt import PromptBatch


@torch.inference_mode()
def decode_autoregressive(
    backbone: Backbone, prompts: PromptBatch, options: DecodeOptions, *, observe: Observer | None = None
) -> tuple[Decoded, ...]:
    """Forwards per report: its tokens, including the prefill (which gives the first).

    Only for a checkpoint of stage `ar`; `steps` and `threshold` have no meaning here.
    """
    context = DecodeContext(backbone, prompts, replace(options, block_anchor=BlockAnchor.RESPONSE))
    transcript = Transcript(options, context.known.sum(dim=1))
    logits = context.prefill_logits()  # [S, V]
    for number in range(options.max_tokens):
        token, confidence, probabilities = choose(logits[:, None], options.never)  # [S, 1]
        if observe is not None:
            observe(number, 0, torch.ones_like(token, dtype=torch.bool), token, probabilities)
        transcript.count(1)
        transcript.add(token, confidence)
        if transcript.done:
            break
        logits = context.append(token)
    return transcript.results()

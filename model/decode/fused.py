"""Fused block decoding: the commit of a block and the denoising of the next one are one forward.

A forward takes the clean tokens of block n-1 and the masks of block n, 2B rows. The first B rows see
the report so far and themselves, so their cache entries are the commit; the last B rows see all of these and
themselves, and their argmax is block n. The first block is part of the prefill. A report of one-step blocks
thus costs exactly one forward per block, prefill included.
Source: arXiv 2604.09450, "fused block KV cache".
"""

from __future__ import annotations

import torch

from model.decode.context import DecodeContext
from model.decode.denoise import blank_state, finish_block, settle
from model.decode.options import Decoded, DecodeOptions, Observer
from model.decode.transcript import Transcript
from model.network.backbone import Backbone
from model.network.prompt import PromptBatch


@torch.inference_mode()
def decode_fused(
    backbone: Backbone, prompts: PromptBatch, options: DecodeOptions, *, observe: Observer | None = None
) -> tuple[Decoded, ...]:
    """Forwards per report: `steps` per block, so ceil(tokens / block_size) at one step."""
    context = DecodeContext(backbone, prompts, options)
    transcript = Transcript(options, context.known.sum(dim=1))
    logits = context.prefill_block()  # [S, B, V]
    for number in range(context.blocks):
        state = settle(blank_state(context, first=number == 0), logits, options, number, 0, observe)
        state, more = finish_block(context, state, options, number, first_step=1, observe=observe)
        transcript.count(1 + more)
        transcript.add(state.tokens, state.confidences)
        if transcript.done:
            break
        logits = context.commit_and_denoise(state.tokens)
    return transcript.results()

"""Multi-step block diffusion, the baseline: S denoising forwards and one commit per block.

The confidence threshold gives the Base model's decoding; `steps = block_size / 2` gives T3D's two
tokens per forward; `steps = block_size` settles one token at a time.
"""

from __future__ import annotations

import torch

from model.decode.context import DecodeContext
from model.decode.denoise import blank_state, finish_block
from model.decode.options import Decoded, DecodeOptions, Observer
from model.decode.transcript import Transcript
from model.network.backbone import Backbone
from model.network.prompt import PromptBatch


@torch.inference_mode()
def decode_multistep(
    backbone: Backbone, prompts: PromptBatch, options: DecodeOptions, *, observe: Observer | None = None
) -> tuple[Decoded, ...]:
    """Forwards per report: the prefill, and per block its steps and (but for the last) its commit."""
    context = DecodeContext(backbone, prompts, options)
    transcript = Transcript(options, context.known.sum(dim=1))
    context.prefill()
    for number in range(context.blocks):
        transcript.count(1)  # the prefill, or the commit of the block before
        state = blank_state(context, first=number == 0)
        state, steps = finish_block(context, state, options, number, first_step=0, observe=observe)
        transcript.count(steps)
        transcript.add(state.tokens, state.confidences)
        if transcript.done:
            break
        context.commit(state.tokens)
    return transcript.results()

"""Settling one block in several steps: which tokens a step commits, and the loop over the steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.decode.commit import accept, choose
from model.decode.context import DecodeContext
from model.decode.options import DecodeOptions, Observer


@dataclass(slots=True, kw_only=True)
class BlockState:
    """A batch's current block, `[S, B]` each: tokens int, their confidences float32, settled bool."""

    tokens: Tensor
    confidences: Tensor
    settled: Tensor


def blank_state(context: DecodeContext, *, first: bool) -> BlockState:
    """A block of masks; the first block may begin with known tokens of the prompt."""
    tokens = context.block if first else context.blank
    settled = context.known if first else torch.zeros_like(context.known)
    return BlockState(
        tokens=tokens, confidences=torch.ones_like(tokens, dtype=torch.float32), settled=settled
    )


def settle(
    state: BlockState,
    logits: Tensor,
    options: DecodeOptions,
    number: int,
    step: int,
    observe: Observer | None,
) -> BlockState:
    """One denoising step of block `number`: commits the tokens that `accept` selects from `logits` `[S, B,
    V]`."""
    token, confidence, probabilities = choose(logits, options.never)
    accepted = accept(confidence, state.settled, options.commits, options.least_confidence)
    if observe is not None:
        observe(number, step, accepted, token, probabilities)
    return BlockState(
        tokens=torch.where(accepted, token, state.tokens),
        confidences=torch.where(accepted, confidence, state.confidences),
        settled=state.settled | accepted,
    )


def finish_block(
    context: DecodeContext,
    state: BlockState,
    options: DecodeOptions,
    number: int,
    *,
    first_step: int,
    observe: Observer | None,
) -> tuple[BlockState, Tensor]:
    """Denoises until every position of every slot is settled.

    first_step: steps that the block has already had. Returns the block and the forwards that each slot
    needed here, int `[S]`.
    """
    forwards = torch.zeros_like(context.starts)
    step = first_step
    while not bool(state.settled.all()):
        forwards += ~state.settled.all(dim=1)
        state = settle(state, context.denoise(state.tokens), options, number, step, observe)
        step += 1
    return state, forwards

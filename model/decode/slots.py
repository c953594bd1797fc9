"""The state of the engine's slots, as tensors on the device, and its update from one forward's logits.

Nothing here waits for the device: which slots have ended is a tensor too, which the engine reads when
convenient. A slot decodes its report block by block, at its own pace and with its own rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from model.decode.commit import accept, choose
from model.decode.options import DecodeOptions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slots:
    """`N` slots, block size `B`; a free slot is computed too and ignored.

    clean: int `[N, B]`, the block before the current one, to be committed; has_clean: bool `[N]`, False
    before the first commit. block, confidence, settled: `[N, B]`, the current block. start: int `[N]`, its
    first cache column; position: int `[N]`, the position of its first token; place: int `[N]`, which token
    of the report that is (negative where a first block begins with the prompt's tail).
    commits: int `[N]`, threshold: float `[N]`, limit: int `[N]`: the slot's rule, and its longest report.
    tokens, confidences: `[N, B + longest]`, the report so far, its first token in column B.
    running: bool `[N]`; forwards: int `[N]`.
    """

    clean: Tensor
    has_clean: Tensor
    block: Tensor
    confidence: Tensor
    settled: Tensor
    start: Tensor
    position: Tensor
    place: Tensor
    commits: Tensor
    threshold: Tensor
    limit: Tensor
    tokens: Tensor
    confidences: Tensor
    running: Tensor
    forwards: Tensor

    @classmethod
    def empty(cls, count: int, longest: int, options: DecodeOptions, device: torch.device) -> Self:
        """Free slots for reports of at most `longest` tokens."""
        size = options.block_size

        def integers(*shape: int, value: int = 0) -> Tensor:
            return torch.full(shape, value, dtype=torch.long, device=device)

        return cls(
            clean=integers(count, size),
            has_clean=torch.zeros(count, dtype=torch.bool, device=device),
            block=integers(count, size, value=options.mask_token_id),
            confidence=torch.ones(count, size, device=device),
            settled=torch.zeros(count, size, dtype=torch.bool, device=device),
            # A free slot attends to a few empty columns: a softmax over nothing would be NaN.
            start=integers(count, value=size),
            position=integers(count, value=size),
            place=integers(count),
            commits=integers(count, value=size),
            threshold=torch.full((count,), 2.0, device=device),
            limit=integers(count, value=1),
            tokens=integers(count, longest + 2 * size),
            confidences=torch.zeros(count, longest + 2 * size, device=device),
            running=torch.zeros(count, dtype=torch.bool, device=device),
            forwards=integers(count),
        )

    def first(self, count: int) -> Self:
        """The first `count` slots, as views: writing to them writes to this object."""
        return self._map(lambda tensor: tensor[:count])

    def copy(self) -> Self:
        """A copy of the slots in separate memory."""
        return self._map(Tensor.clone)

    def put(self, slots: Tensor | slice, part: Slots) -> None:
        """Writes `part` to the slots, int `[n]` or a slice."""
        for field in dataclasses.fields(self):
            getattr(self, field.name)[slots] = getattr(part, field.name)

    def advance(self, logits: Tensor, options: DecodeOptions) -> None:
        """Takes the logits `[N, B, V]` of the current blocks: commits tokens, ends reports, opens blocks.

        Writes in place and without a host synchronisation, so that a CUDA graph can hold it.
        """
        size = options.block_size
        token, confidence, _ = choose(logits, options.never)
        accepted = accept(confidence, self.settled, self.commits[:, None], self.threshold[:, None])
        self.block.copy_(torch.where(accepted, token, self.block))
        self.confidence.copy_(torch.where(accepted, confidence, self.confidence))
        self.settled.logical_or_(accepted)
        self.forwards.add_(self.running)

        # A slot that has ended keeps its settled last block, and rewrites it unchanged.
        place = self.place[:, None] + torch.arange(size, device=token.device)  # [N, B]
        self.tokens.scatter_(1, place + size, self.block)
        self.confidences.scatter_(1, place + size, self.confidence)
        done = self.settled.all(dim=1)
        ends = ((self.block == options.eos_token_id) & (place >= 0)).any(dim=1)
        over = done & (ends | (self.place + size >= self.limit))
        self.running.logical_and_(~over)
        self._open_next(done & self.running, options)

    def _open_next(self, opens: Tensor, options: DecodeOptions) -> None:
        """Slots `opens`, bool `[N]`: the settled block becomes the clean one, a blank one is current."""
        row = opens[:, None]
        self.clean.copy_(torch.where(row, self.block, self.clean))
        self.has_clean.logical_or_(opens)
        self.block.masked_fill_(row, options.mask_token_id)
        self.settled.logical_and_(~row)
        step = opens * options.block_size
        self.start.add_(step)
        self.position.add_(step)
        self.place.add_(step)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            **{field.name: change(getattr(self, field.name)) for field in dataclasses.fields(self)}
        )

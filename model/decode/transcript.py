"""The tokens that a batch has decoded so far: tokens, confidences, and which reports have ended."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from model.decode.options import Decoded, DecodeOptions


class Transcript:
    """Collects what the slots of a batch commit, until each has ended.

    tail: int `[S]`, tokens of the first block that belong to the prompt and are left out of the report.
    """

    def __init__(self, options: DecodeOptions, tail: Tensor) -> None:
        self._options, self._tail = options, tail.tolist()
        self._tokens: list[Tensor] = []
        self._confidences: list[Tensor] = []
        self._length = -tail
        self._ended = torch.zeros_like(tail, dtype=torch.bool)
        self._forwards = torch.zeros_like(tail)

    @property
    def running(self) -> Tensor:
        """Which reports have not ended: bool `[S]`."""
        return ~self._ended

    @property
    def done(self) -> bool:
        """Whether all reports have ended."""
        return bool(self._ended.all())

    def count(self, forwards: Tensor | int) -> None:
        """Adds `forwards` (one number, or int `[S]`) to the reports that have not ended."""
        self._forwards = self._forwards + self.running * forwards

    def add(self, tokens: Tensor, confidences: Tensor) -> None:
        """Appends a block (or a token): int and float32 `[S, n]`; notes which reports end in it."""
        self._tokens.append(tokens)
        self._confidences.append(confidences)
        ends = tokens == self._options.eos_token_id
        if self._length.min() < 0:  # an end token of the prompt does not end the report
            place = self._length[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
            ends = ends & (place >= 0)
        self._length = self._length + tokens.shape[1]
        self._ended = self._ended | ends.any(dim=1) | (self._length >= self._options.max_tokens)

    def results(self) -> tuple[Decoded, ...]:
        """The reports, each cut at its first end token or at `max_tokens`."""
        tokens = torch.cat(self._tokens, dim=1).tolist()
        confidences = torch.cat(self._confidences, dim=1).tolist()
        rows = zip(tokens, confidences, self._tail, self._forwards.tolist(), strict=True)
        return tuple(
            report(self._options, row[tail:], confidence[tail:], tail=tail, forwards=forwards)
            for row, confidence, tail, forwards in rows
        )


def report(
    options: DecodeOptions, tokens: list[int], confidences: list[float], *, tail: int, forwards: int
) -> Decoded:
    """One report from its slot's committed tokens, which may continue after its end."""
    tokens = tokens[: options.max_tokens]
    stopped = options.eos_token_id in tokens
    length = tokens.index(options.eos_token_id) if stopped else len(tokens)
    spoken = confidences[: length + stopped]
    first = options.block_size - tail  # the report's tokens in its first block
    edges = [0, *range(first, len(spoken), options.block_size), len(spoken)]
    return Decoded(
        tokens=tuple(tokens[:length]),
        confidences=tuple(confidences[:length]),
        block_confidences=tuple(min(spoken[a:b]) for a, b in pairwise(edges)),
        stopped=stopped,
        forwards=forwards,
    )

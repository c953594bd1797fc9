"""From examples to the tensors of a step: which examples, tokens, masks and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network.config import ModelConfig
from model.network.positions import mrope_positions, next_positions
from model.network.prompt import patchify, prepare_image, prompt_ids
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example

_GROUP = 8  # batches that are sorted by length together


class ExampleSet(Protocol):
    """A sequence of examples that knows the number of a study's images without reading them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...

    def image_count(self, index: int) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers of a batch, padded with end-of-text to one multiple of the block size."""

    tokens: Tensor  # int [B, R]
    valid: Tensor  # bool [B, R]; True up to the end of each answer's last block


class Sampler:
    """Which examples make a step: a pure function of the seed and the step.

    Each epoch is a permutation; a batch holds studies with the same number of images and answers of
    similar length, so that little is padded.
    """

    def __init__(self, lengths: Sequence[int], images: Sequence[int], batch: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._pools = [np.flatnonzero(np.asarray(images) == count) for count in sorted(set(images))]
        self._batch = batch
        self._seed = seed
        self._per_epoch = sum(max(1, len(pool) // batch) for pool in self._pools)
        self._epoch = -1
        self._plan: list[NDArray[np.int64]] = []

    def indices(self, step: int) -> NDArray[np.int64]:
        """The examples of 0-based `step`."""
        epoch, place = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            self._plan, self._epoch = self._draw(epoch), epoch
        return self._plan[place]

    def _draw(self, epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng([self._seed, epoch])
        plan: list[NDArray[np.int64]] = []
        for pool in self._pools:
            order = rng.permutation(pool)
            for start in range(0, len(order), _GROUP * self._batch):
                group = order[start : start + _GROUP * self._batch]
                group = group[np.argsort(self._lengths[group], kind="stable")]
                whole = len(group) // self._batch * self._batch
                plan += np.split(group[:whole], whole // self._batch) if whole else []
            if len(pool) < self._batch:
                plan.append(order)
        return [plan[i] for i in rng.permutation(len(plan))]


class Collator:
    """Turns examples into tensors for one checkpoint's tokenizer and sizes."""

    def __init__(self, config: ModelConfig, tokenizer: ReportTokenizer, block_size: int) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.block_size = block_size

    def answer_ids(self, example: Example) -> list[int]:
        """The answer's tokens with the end-of-text token."""
        return [*self.tokenizer.encode(example.answer), self.config.eos_token_id]

    def prompts(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Rows `prompt` [B, P], `prompt_valid` [B, P], `prompt_positions` [B, 3, P], `next` [B]."""
        rows = [
            prompt_ids(
                self.tokenizer,
                len(example.images),
                self.config.image_tokens,
                indication=example.indication or "",
                comparison=example.comparison or "",
            )
            for example in examples
        ]
        length = max(map(len, rows))
        prompt = torch.full((len(rows), length), self.tokenizer.pad_id)
        valid = torch.zeros(len(rows), length, dtype=torch.bool)
        for number, row in enumerate(rows):
            prompt[number, : len(row)] = torch.tensor(row)
            valid[number, : len(row)] = True
        patches = self.config.image_size // self.config.shape.patch
        grid = torch.tensor([[1, patches, patches]]).expand(sum(len(e.images) for e in examples), 3)
        positions = mrope_positions(
            prompt, valid, grid, self.config.shape.image_token_id, self.config.shape.merge
        )
        return {
            "prompt": prompt,
            "prompt_valid": valid,
            "prompt_positions": positions.transpose(0, 1).contiguous(),
            "next": next_positions(positions, valid),
        }

    def answers(self, sequences: Sequence[Sequence[int]]) -> Answers:
        """Pads answers with end-of-text; the pads of an answer's last block are valid, later ones are not."""
        block = self.block_size
        needed = [-(-len(sequence) // block) * block for sequence in sequences]
        tokens = torch.full((len(sequences), max(needed)), self.config.eos_token_id)
        valid = torch.zeros(len(sequences), max(needed), dtype=torch.bool)
        for number, sequence in enumerate(sequences):
            tokens[number, : len(sequence)] = torch.tensor(sequence)
            valid[number, : needed[number]] = True
        return Answers(tokens=tokens, valid=valid)

    def pixels(self, examples: Sequence[Example]) -> Tensor:
        """Prepared images [B, n, S, S] of studies with equally many images."""
        size = self.config.image_size
        return torch.stack([torch.stack([prepare_image(i, size) for i in e.images]) for e in examples])

    def patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Patches and grid of prepared images [B, n, S, S]."""
        return patchify(pixels.flatten(0, 1), self.config)

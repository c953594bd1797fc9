"""Builds the tensors of a step from examples: the choice of examples, tokens, masks and positions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network.config import ModelConfig
from model.network.positions import mrope_positions, next_positions
from model.network.prompt import (
    chosen_views,
    fit_image,
    patchify,
    prompt_ids,
)
from model.network.tokenizer import ReportTokenizer
from model.phantom.studies import Example

_GROUP = 8  # number of batches that are sorted by length together


class ExampleSet(Protocol):
    """A sequence of examples that can tell the length of an answer without opening an image."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...

    def without_images(self, index: int) -> Example:
        """A study with only its texts: no image is opened."""
        ...

    def answer_length(self, index: int) -> int:
        """Characters of a study's answer."""
        ...

    def finish_check(self) -> None:
        """Waits until every example has been checked. Raises: DataError if the run must not count."""
        ...

    @property
    def undecodable(self) -> frozenset[int]:
        """The examples whose images could not be decoded; each is replaced by another example."""
        ...

    def skip_undecodable(self, places: Iterable[int]) -> None:
        """Takes over the undecodable images found by another process or an earlier run."""
        ...

    def identity(self) -> str:
        """The identity of this set, for files derived from it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers of a batch, padded with end-of-text to one multiple of the block size."""

    tokens: Tensor  # int [B, R]
    valid: Tensor  # bool [B, R]; True up to the end of each answer's last block


class Sampler:
    """Chooses the examples of a step: a pure function of the seed and the step, so that a run resumes
    exactly.

    Each epoch is a permutation; a batch holds answers of similar length, so that little is padded. A set
    smaller than a batch is repeated in it. Only the lengths of examples that are drawn together are needed,
    so a large set is not read before the first step.

    Args:
        count: examples of the set.
        length_of: the length of an example's answer, in any unit. batch: examples per step. seed: for the
        permutations.
    """

    def __init__(self, count: int, length_of: Callable[[int], int], batch: int, seed: int) -> None:
        self._count = count
        self._length_of = length_of
        self._batch = batch
        self._seed = seed
        self._per_epoch = max(1, count // batch)
        self._epoch = -1
        self._order = self._batches = np.zeros(0, dtype=np.int64)
        self._groups: dict[int, NDArray[np.int64]] = {}
        self._drawing = threading.Lock()  # several threads prepare steps

    def indices(self, step: int) -> NDArray[np.int64]:
        """The examples of 0-based `step`."""
        epoch, place = divmod(step, self._per_epoch)
        with self._drawing:
            if epoch != self._epoch:
                self._draw(epoch)
            group, part = divmod(int(self._batches[place]), _GROUP)
            if group not in self._groups:
                self._groups[group] = self._sorted(group)
            return self._groups[group][part * self._batch : (part + 1) * self._batch]

    def _draw(self, epoch: int) -> None:
        """Draws an epoch: the order of the examples, and the order in which its batches are used."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(self._count)
        whole = np.resize(order, self._batch) if self._count < self._batch else order
        self._order = whole[: self._per_epoch * self._batch]
        self._batches = rng.permutation(self._per_epoch)
        self._groups, self._epoch = {}, epoch

    def _sorted(self, group: int) -> NDArray[np.int64]:
        """The examples of `_GROUP` batches by length."""
        size = _GROUP * self._batch
        members = self._order[group * size : (group + 1) * size]
        if self._count < self._batch:
            return members
        lengths = np.array([self._length_of(int(index)) for index in members])
        return members[np.argsort(lengths, kind="stable")]


class Collator:
    """Turns examples into tensors for one checkpoint's tokenizer, sizes and prompt policy."""

    def __init__(self, config: ModelConfig, tokenizer: ReportTokenizer, block_size: int) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.block_size = block_size

    @property
    def longest_answer(self) -> int:
        """The most tokens of an answer, including end-of-text: the room in decoding."""
        return self.config.max_tokens

    def answer_ids(self, text: str) -> list[int]:
        """The answer's tokens with the end-of-text token; without it if the answer does not fit.

        An answer that is too long is cut, without teaching the network to stop at the cut.
        """
        tokens = self.tokenizer.encode(text)
        return [*tokens, self.config.eos_token_id][: self.longest_answer]

    def images(self, example: Example) -> tuple[Tensor, ...]:
        """The prepared images of a study that the checkpoint sees, in its order: float [H, W] each."""
        return tuple(
            fit_image(example.images[index], self.config)
            for index in chosen_views(example.views, self.config)
        )

    def prompts(
        self, examples: Sequence[Example], sizes: Sequence[Sequence[tuple[int, int]]]
    ) -> dict[str, Tensor]:
        """Rows `prompt` [B, P], `prompt_valid` [B, P], `prompt_positions` [B, 3, P], `next` [B].

        sizes: rows and columns in pixels of each example's prepared images.
        """
        unit, known = self.config.shape.patch * self.config.shape.merge, self.config.reads_context
        prompts = [
            prompt_ids(
                self.tokenizer,
                [(rows // unit) * (columns // unit) for rows, columns in own],
                indication=(example.indication or "") if known else "",
                comparison=(example.comparison or "") if known else "",
                policy=self.config.prompt,
            )
            for example, own in zip(examples, sizes, strict=True)
        ]
        length = max(map(len, prompts))
        prompt = torch.full((len(prompts), length), self.tokenizer.pad_id)
        valid = torch.zeros(len(prompts), length, dtype=torch.bool)
        for number, row in enumerate(prompts):
            prompt[number, : len(row)] = torch.tensor(row)
            valid[number, : len(row)] = True
        patch = self.config.shape.patch
        grid = torch.tensor([[1, rows // patch, columns // patch] for own in sizes for rows, columns in own])
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
        """Pads answers with end-of-text; the pads of an answer's last block are valid, later ones are not.

        A cut answer has no end-of-text, and its last block is whole: nothing after it is valid.
        """
        block = self.block_size
        needed = [-(-len(sequence) // block) * block for sequence in sequences]
        tokens = torch.full((len(sequences), max(needed)), self.config.eos_token_id)
        valid = torch.zeros(len(sequences), max(needed), dtype=torch.bool)
        for number, sequence in enumerate(sequences):
            tokens[number, : len(sequence)] = torch.tensor(sequence)
            ended = bool(sequence) and sequence[-1] == self.config.eos_token_id
            valid[number, : needed[number] if ended else len(sequence) // block * block] = True
        return Answers(tokens=tokens, valid=valid)

    def patches(self, images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Patches and grid of prepared images."""
        return patchify(images, self.config)

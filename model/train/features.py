"""Visual tokens of a frozen tower, computed once, so that RAD and DCD steps only run the text layers.

On disk they are bfloat16 in files of a few hundred studies, which are memory-mapped and shared by all stages
that use the same tower on the same studies, and by all processes on a machine. A file that exists is
complete, so an interrupted computation continues where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network.backbone import Backbone
from model.network.prompt import MOST_IMAGES
from model.train.batches import Collator, ExampleSet
from model.train.parallel import Processes
from model.train.whole_file import whole_file

_AT_ONCE = 32  # studies
_CHUNK = 256  # studies in one file

Sizes = list[tuple[int, int]]  # rows and columns in pixels of a study's images


class VisualTokens(Protocol):
    """Where the visual tokens of studies come from."""

    def rows(self, indices: Sequence[int]) -> tuple[list[Tensor], list[Sizes]]:
        """For each study the tokens [n, D] of all its images, and the images' sizes."""
        ...


class KeptTokens:
    """The tokens of a small set, in memory, as float32."""

    def __init__(self, backbone: Backbone, examples: ExampleSet, collator: Collator) -> None:
        self._rows: list[Tensor] = []
        self._sizes: list[Sizes] = []
        for start in range(0, len(examples), _AT_ONCE):
            images = [
                collator.images(examples[i]) for i in range(start, min(start + _AT_ONCE, len(examples)))
            ]
            self._rows += [row.float().cpu().clone() for row in encode_studies(backbone, collator, images)]
            self._sizes += [_sizes(own) for own in images]

    def rows(self, indices: Sequence[int]) -> tuple[list[Tensor], list[Sizes]]:
        return [self._rows[i] for i in indices], [self._sizes[i] for i in indices]


class StoredTokens:
    """The tokens of a set in mapped files below `folder`, computed by all processes together.

    The folder's name depends on the tower's weights, the image policy and the set, so another tower never
    finds these files.
    """

    def __init__(
        self,
        folder: Path,
        backbone: Backbone,
        examples: ExampleSet,
        collator: Collator,
        processes: Processes,
    ) -> None:
        self._folder = folder / _key(backbone, examples, collator)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._maps: dict[int, tuple[NDArray[np.uint16], NDArray[np.int64]]] = {}
        for chunk in range(-(-len(examples) // _CHUNK)):
            if chunk % processes.count == processes.rank and not self._index(chunk).exists():
                self._compute(chunk, backbone, examples, collator)
        processes.wait()
        for file in self._folder.glob("*.undecodable.npy"):
            examples.skip_undecodable(np.load(file).tolist())

    def rows(self, indices: Sequence[int]) -> tuple[list[Tensor], list[Sizes]]:
        tokens, sizes = [], []
        for index in indices:
            stored, counts = self._open(index // _CHUNK)
            place = index % _CHUNK
            stop = int(counts[: place + 1, 0].sum())
            part = np.array(stored[stop - int(counts[place, 0]) : stop])
            tokens.append(torch.from_numpy(part).view(torch.bfloat16))
            pairs = counts[place, 1:].reshape(-1, 2).tolist()
            sizes.append([(rows, columns) for rows, columns in pairs if rows])
        return tokens, sizes

    def _compute(self, chunk: int, backbone: Backbone, examples: ExampleSet, collator: Collator) -> None:
        members = range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(examples)))
        parts: list[NDArray[np.uint16]] = []
        counts = np.zeros((len(members), 1 + 2 * MOST_IMAGES), dtype=np.int64)
        for start in range(0, len(members), _AT_ONCE):
            images = [collator.images(examples[i]) for i in members[start : start + _AT_ONCE]]
            encoded = encode_studies(backbone, collator, images)
            for row, (own, tokens) in enumerate(zip(images, encoded, strict=True), start):
                parts.append(tokens.bfloat16().cpu().contiguous().view(torch.uint16).numpy())
                flat = [side for size in _sizes(own) for side in size]
                counts[row, : 1 + len(flat)] = [len(tokens), *flat]
        self._put(f"{chunk:06}.tokens.npy", np.concatenate(parts))
        if known := examples.undecodable:
            self._put(f"{chunk:06}.undecodable.npy", np.array(sorted(known)))
        self._put(self._index(chunk).name, counts)

    def _put(self, name: str, values: NDArray[np.generic]) -> None:
        with whole_file(self._folder / name) as stream:
            np.save(stream, values)

    def _open(self, chunk: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        if chunk not in self._maps:
            tokens = np.load(self._folder / f"{chunk:06}.tokens.npy", mmap_mode="r")
            self._maps[chunk] = (tokens, np.load(self._index(chunk)))
        return self._maps[chunk]

    def _index(self, chunk: int) -> Path:
        return self._folder / f"{chunk:06}.index.npy"


@torch.no_grad()
def encode_studies(
    backbone: Backbone, collator: Collator, images: Sequence[Sequence[Tensor]]
) -> list[Tensor]:
    """Visual tokens [n, D] of each study's prepared images."""
    flat = [image.to(backbone.device) for own in images for image in own]
    features = backbone.encode_images(*collator.patches(flat))
    unit = (collator.config.shape.patch * collator.config.shape.merge) ** 2
    counts = [sum(image.numel() // unit for image in own) for own in images]
    return list(torch.split(features, counts))


def image_sizes(images: Sequence[Sequence[Tensor]]) -> list[Sizes]:
    """Rows and columns in pixels of every study's prepared images."""
    return [_sizes(own) for own in images]


def _sizes(images: Sequence[Tensor]) -> Sizes:
    return [(image.shape[0], image.shape[1]) for image in images]


def _key(backbone: Backbone, examples: ExampleSet, collator: Collator) -> str:
    """A name for the tokens of one tower on one set under one image policy."""
    config = collator.config
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.network.model.visual.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    policy = (
        config.size_policy, config.image_size, config.min_pixels, config.max_pixels, config.image_order,
    )  # fmt: skip
    digest.update(repr((policy, examples.identity(), len(examples))).encode())
    return digest.hexdigest()[:24]

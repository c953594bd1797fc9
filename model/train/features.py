"""Visual tokens of a frozen tower, computed once: RAD and DCD steps then cost the text layers alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.network.backbone import Backbone
from model.train.batches import Collator, ExampleSet

_AT_ONCE = 64  # studies


class FeatureCache:
    """The visual tokens of every study of a set, in memory, as float32."""

    def __init__(
        self, backbone: Backbone, examples: ExampleSet, collator: Collator, limit: int | None = None
    ) -> None:
        total = min(limit or len(examples), len(examples))
        self._rows: list[Tensor] = [torch.empty(0)] * total
        counts = [examples.image_count(i) for i in range(total)]
        for count in sorted(set(counts)):
            members = [i for i, n in enumerate(counts) if n == count]
            for start in range(0, len(members), _AT_ONCE):
                group = members[start : start + _AT_ONCE]
                encoded = encode_studies(backbone, collator, collator.pixels([examples[i] for i in group]))
                for index, row in zip(group, encoded.cpu(), strict=True):
                    self._rows[index] = row.clone()

    def rows(self, indices: Sequence[int]) -> Tensor:
        """Visual tokens [B, n, D] of studies with equally many images."""
        return torch.stack([self._rows[i] for i in indices])


@torch.no_grad()
def encode_studies(backbone: Backbone, collator: Collator, pixels: Tensor) -> Tensor:
    """Visual tokens [B, n, D] of prepared images [B, images, S, S]."""
    patches, grid = collator.patches(pixels.to(backbone.device))
    features = backbone.encode_images(patches, grid)
    return features.reshape(len(pixels), -1, features.shape[1])

"""The geometry of the lateral phantom, which its anatomy and its findings are drawn on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Laterality
from model.phantom.canvas import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The chest from the side: fields [size, size] and numbers in unit coordinates."""

    size: int
    x: Field
    y: Field
    front: Field  # x of the skin in front
    back: Field
    sternum: Field
    spine: Field
    masks: dict[Laterality, Field]  # each lung, 0 to 1
    domes: dict[Laterality, Field]  # y of each hemidiaphragm
    heart: Field  # distance to the outline of the heart, positive inside
    pose: tuple[float, float, float]
    depth: float  # of the chest from front to back, relative to the average

    def to_image(self, dots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Body coordinates [n, 2] to image coordinates."""
        tilt, right, down = self.pose
        dx, dy = (dots[:, 0] - 0.5) * self.depth, dots[:, 1] - 0.5
        cos, sin = np.cos(tilt), np.sin(tilt)
        return np.stack([dx * cos - dy * sin + 0.5 + right, dx * sin + dy * cos + 0.5 + down], axis=1)

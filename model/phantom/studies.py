"""Training data for a network: images, and the report that it should write about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One study: its images and its report; `truth` and `dictated` are known only for phantoms."""

    id: str
    # Frontal first, each [H, W], bright = dense, 0 to the greatest value of its type.
    images: tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]
    views: tuple[str, ...]
    answer: str  # "Findings: … Impression: …"
    indication: str | None = None
    comparison: str | None = None
    truth: tuple[Finding, ...] | None = None
    dictated: str | None = None  # the same in free words

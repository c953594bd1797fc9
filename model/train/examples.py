"""What a network is trained on: images and the report that it should write about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One study: its images (frontal first) and its report. `truth` is known of phantoms alone."""

    id: str
    images: tuple[NDArray[np.uint8], ...]  # each [H, W], bright = dense
    views: tuple[str, ...]
    answer: str  # "Findings: … Impression: …"
    indication: str | None = None
    comparison: str | None = None
    truth: tuple[Finding, ...] | None = None

"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math
from typing import Literal

Decay = Literal["cosine", "linear", "constant"]


def rate_factor(step: int, *, steps: int, warmup: int, decay: Decay, floor: float = 0.02) -> float:
    """Factor on the peak learning rate for 0-based `step` of `steps`.

    Rises linearly over `warmup` steps, then falls to `floor` at the last step.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    if decay == "constant":
        return 1.0
    if decay == "linear":
        return 1.0 - (1.0 - floor) * progress
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))

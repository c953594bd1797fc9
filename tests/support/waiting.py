"""Waits for conditions as long as a busy machine needs, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

# Nothing of ours takes this long, except on a very busy machine; below pytest's own limit.
PATIENCE_S = 240.0
_LOOK_EVERY_S = 0.02


def wait_for(
    condition: Callable[[], object], what: object = "it did not happen", within_s: float = PATIENCE_S
) -> None:
    """Wait until a condition holds. Raises: AssertionError: it never does; the text says what is missing."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(_LOOK_EVERY_S)

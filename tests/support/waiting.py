"""Patience with what happens in its own time: as long as a busy machine needs, never a fixed pause."""

from __future__ import annotations

import time
from collections.abc import Callable

# Nothing of ours takes so long, except on a machine that does much else; below pytest's own limit.
PATIENCE_S = 240.0
_LOOK_EVERY_S = 0.02


def wait_for(
    condition: Callable[[], object], what: object = "it did not happen", within_s: float = PATIENCE_S
) -> None:
    """Wait until a condition holds; an AssertionError that says what is missing where it never does."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(_LOOK_EVERY_S)

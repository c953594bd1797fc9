"""JSON in which each key counts: a key that stands twice in an object is an error.

The library lets the last one count silently, which is never what its writer meant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


class KeyTwice(ValueError):
    """An object has a key twice; the text names it."""


def read_json(text: str | bytes) -> Any:
    """Reads a JSON document.

    Raises:
        KeyTwice; ValueError, RecursionError: those of the library.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise KeyTwice(f"the key {key[:100]!r} stands twice in one object")
            seen.add(key)
    return made

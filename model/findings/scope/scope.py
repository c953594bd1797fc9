"""The value that all modules of this package share: the scope of one cue."""

from __future__ import annotations

from dataclasses import dataclass

from model.findings.spans import Span


@dataclass(frozen=True, slots=True)
class Scope:
    """Tokens [start, end) that a cue governs; `forward` if they follow it."""

    cue: Span
    kind: str
    start: int
    end: int
    forward: bool

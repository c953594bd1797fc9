"""The appearance of a film, from its pixels alone, as flags for the reader. Pure.

Headers can be wrong: a negative declared as MONOCHROME2, a film scanned upside down. A doubtful film is
flagged, never silently rotated.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.films.plausibility.template import Likeness

# Shares from which a film is marked; `docs/films.md` says what they cost and find.
INVERTED, UPSIDE_DOWN, TURNED, MIRRORED = 0.8, 0.8, 0.8, 0.97
# Below this likeness a film is marked as perhaps no chest.
LEAST_LIKE_A_CHEST = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One thing that a film looks like."""

    code: str
    text: str


_TEXTS = {
    "looks_inverted": "The image looks inverted (a negative); check it against the original.",
    "looks_upside_down": "The image looks upside down; check it against the original.",
    "looks_turned": "The image looks turned by a quarter; check it against the original.",
    "looks_mirrored": "The image looks mirrored; check the side marker.",
    "looks_no_chest": "The image does not look like a frontal chest film.",
}


def looks_of(likeness: Likeness) -> tuple[Mark, ...]:
    """Return the marks of a frontal film."""
    if likeness.chest < LEAST_LIKE_A_CHEST:
        # What it is compared with does not fit at all: its position means nothing.
        return (_mark("looks_no_chest"),)
    found = (
        ("looks_inverted", likeness.inverted >= INVERTED),
        ("looks_upside_down", likeness.upside_down >= UPSIDE_DOWN),
        ("looks_turned", likeness.turned >= TURNED),
        ("looks_mirrored", likeness.mirrored >= MIRRORED),
    )
    return tuple(_mark(code) for code, is_so in found if is_so)


def _mark(code: str) -> Mark:
    return Mark(code=code, text=_TEXTS[code])

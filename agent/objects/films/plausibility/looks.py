"""The appearance of a film, from its pixels alone, as flags for the reader. Pure.

Headers can be wrong: a negative declared as MONOCHROME2, a film scanned upside down. A doubtful film is
flagged, never silently rotated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.objects.films.plausibility.chest import chest_score
from agent.objects.films.plausibility.template import Template, built_in, likeness, ranks_of

# Probabilities from which a film is flagged; `docs/films.md` states their sensitivity and false alarms.
INVERTED, UPSIDE_DOWN, TURNED, MIRRORED = 0.8, 0.8, 0.8, 0.97
# Log odds below which a film is flagged as not a frontal chest film.
LEAST_LIKE_A_CHEST = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One aspect of a film's appearance."""

    code: str
    text: str


TEXTS = {
    "looks_inverted": "The image looks inverted (a negative); check it against the original.",
    "looks_upside_down": "The image looks upside down; check it against the original.",
    "looks_turned": "The image looks turned by a quarter; check it against the original.",
    "looks_mirrored": "The image looks mirrored; check the side marker.",
    "looks_no_chest": "The image does not look like a frontal chest film.",
}


def looks_of(pixels: NDArray[np.uint8], template: Template | None = None) -> tuple[Mark, ...]:
    """Return the flags of a frontal film, uint8 [H, W], bright = dense."""
    template = template or built_in()
    ranks = ranks_of(pixels)
    if chest_score(ranks, template) < LEAST_LIKE_A_CHEST:
        # The film does not resemble a chest at all, so its position means nothing.
        return (_mark("looks_no_chest"),)
    found = likeness(ranks, template)
    stated = (
        ("looks_inverted", found.inverted >= INVERTED),
        ("looks_upside_down", found.upside_down >= UPSIDE_DOWN),
        ("looks_turned", found.turned >= TURNED),
        ("looks_mirrored", found.mirrored >= MIRRORED),
    )
    return tuple(_mark(code) for code, is_so in stated if is_so)


def _mark(code: str) -> Mark:
    return Mark(code=code, text=TEXTS[code])

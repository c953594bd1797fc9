"""Checks whether an image shows a film. One that does not is a visible failure and never reaches the network.
Pure.

Every check compares a measure of the decoded image with a stated limit, and has its own code and remedy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.foundation.image_errors import (
    ImageConstant,
    ImageMostlyUnexposed,
    ImageSaturated,
    ImageTooOblong,
    ImageTooSmall,
    ImageWrapped,
)
from agent.objects.films.plausibility.looks import Mark, looks_of
from agent.objects.pixels import StudyImage

# Longest side divided by shortest side; no chest film is more elongated.
_MOST_OBLONG = 3.0
# An image with fewer grey levels among its middle 98 % shows nothing.
_LEAST_SPREAD, _LEAST_LEVELS = 8, 12
# Share of the pixels that are black or white in a film that still shows something.
_MOST_SATURATED = 0.92
# Share of neighbouring pixels that differ by most of the range; a film's edges are a few thousandths.
_MOST_WRAPPED = 0.02
# Share of the image that must lie inside shutter and collimation.
_LEAST_EXPOSED = 0.15
# The checks look at no more than this many pixels per side.
_LOOKED_AT = 512

WINDOW_IGNORED = Mark(
    code="window_ignored",
    text="The window that the image asks for shows nothing; its own range of grey levels was used.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The measures of the gate: sides in pixels, shares from 0 to 1, spread in grey levels of 255."""

    shortest: int
    oblong: float
    spread: float
    levels: int
    saturated: float
    wrapped: float
    exposed: float


def measures_of(image: StudyImage) -> Measures:
    """Measure a decoded image."""
    rows, columns = image.pixels.shape
    some = _reduced(image.pixels)
    histogram = np.bincount(some.ravel(), minlength=256)
    reached = np.cumsum(histogram) / max(1, some.size)
    low, high = (int(np.searchsorted(reached, share)) for share in (0.01, 0.99))
    return Measures(
        shortest=min(rows, columns),
        oblong=max(rows, columns) / max(1, min(rows, columns)),
        spread=float(high - low),
        levels=int((histogram > 0).sum()),
        saturated=float((histogram[0] + histogram[255]) / max(1, some.size)),
        wrapped=image.wrapped,
        exposed=image.exposed,
    )


def check(image: StudyImage, *, least_px: int) -> None:
    """Refuse an image that shows no film.

    Raises:
        ImageNotPlausible: the subclass for the first measure beyond its limit.
    """
    found = measures_of(image)
    if found.shortest < least_px:
        raise ImageTooSmall(
            f"the image has {found.shortest} pixels on its shorter side; {least_px} are needed"
        )
    if found.oblong > _MOST_OBLONG:
        raise ImageTooOblong(f"the image is {found.oblong:.1f} times as long as it is wide")
    if found.wrapped > _MOST_WRAPPED:
        raise ImageWrapped(
            "neighbouring pixels jump over the whole range: upper bits of the samples are lost"
        )
    if found.exposed < _LEAST_EXPOSED:
        raise ImageMostlyUnexposed(f"only {found.exposed:.0%} of the image lies inside the exposed field")
    if found.spread < _LEAST_SPREAD or found.levels < _LEAST_LEVELS:
        raise ImageConstant("the image has no contrast: it is blank, or nearly so")
    if found.saturated > _MOST_SATURATED:
        raise ImageSaturated(f"{found.saturated:.0%} of the image is black or white")


def marks_on(image: StudyImage) -> tuple[Mark, ...]:
    """Return the flags of an image that passed."""
    # Other views have no template: the appearance of a lateral film is not checked.
    looks = () if image.view == "lateral" else looks_of(_reduced(image.pixels))
    return (*((WINDOW_IGNORED,) if image.window_ignored else ()), *looks)


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = max(1, min(pixels.shape) // _LOOKED_AT)
    return np.ascontiguousarray(pixels[::step, ::step])

"""Drawing in unit coordinates: the same picture at any resolution.

x runs from 0 (left edge of the image) to 1, y from 0 (top) to 1; a width of 0.01 is 1 % of the side.
Every edge is at least `SOFT` wide, about a pixel of the smallest size in use, so that sampling at
pixel centres does not alias and 1,024 px averaged down is 168 px drawn directly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.floating[Any]]  # float32 in practice

SOFT = 0.007  # width of the softest sharp edge, 1.2 px at 168 px
_SPLAT_STEP = 0.0025  # distance of the dots that make a line


@lru_cache(maxsize=4)
def grid(size: int) -> tuple[Field, Field]:
    """Coordinates of the pixel centres: x, y, each [size, size], read-only."""
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = (np.ascontiguousarray(a) for a in np.meshgrid(axis, axis))
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def step(distance: Field, width: float = SOFT) -> Field:
    """0 where `distance` is negative, 1 where positive, a smooth ramp of `width` around 0."""
    t = np.clip(distance * np.float32(1 / width) + np.float32(0.5), 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


def ellipse(
    x: Field, y: Field, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0
) -> Field:
    """Squared normalised radius: below 1 inside. `angle` in radians turns the ellipse clockwise on screen."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    return np.square(along / np.float32(radii[0])) + np.square(across / np.float32(radii[1]))


def dome(squared_radius: Field) -> Field:
    """Thickness of an ellipsoid seen through: 1 in its centre, 0 at its edge."""
    return np.sqrt(np.clip(1 - squared_radius, 0, 1))


def blob(squared_radius: Field, edge: float = 0.3) -> Field:
    """A filled ellipse with a soft edge; `edge` is the width of the ramp in squared radius."""
    return step(1 - squared_radius, edge)


def curve(points: list[tuple[float, float]]) -> NDArray[np.float64]:
    """A smooth line through control points (Catmull-Rom), as dots at a fixed distance: [n, 2]."""
    knots = np.asarray([points[0], *points, points[-1]], dtype=np.float64)
    pieces = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        count = max(int(np.hypot(*(c - b)) / _SPLAT_STEP), 1)
        t = np.linspace(0, 1, count, endpoint=False)[:, None]
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.concatenate(pieces)


def lines(dots: NDArray[np.float64], weights: NDArray[np.float64] | float, width: float, size: int) -> Field:
    """Draw lines given as dots: [size, size]; the peak across a line of weight 1 is 1.

    Args:
        dots: [n, 2], x and y, at a distance of about `_SPLAT_STEP` along each line.
        weights: brightness of each dot.
        width: standard deviation of the line's profile, in unit coordinates (0.003 or more).
    """
    xy = dots * size - 0.5
    low = np.floor(xy).astype(np.int64)
    fraction = xy - low
    weight = np.broadcast_to(np.asarray(weights, dtype=np.float64), len(dots))
    total = np.zeros(size * size)
    for right in (0, 1):
        for down in (0, 1):
            column, row = low[:, 0] + right, low[:, 1] + down
            share = np.abs(1 - right - fraction[:, 0]) * np.abs(1 - down - fraction[:, 1]) * weight
            inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            total += np.bincount((row * size + column)[inside], share[inside], minlength=size * size)
    # Splatting spreads a dot by about 0.4 px already: the filter adds the rest of the width.
    sigma = np.sqrt(max((width * size) ** 2 - 0.17, 0.01))
    spread = ndimage.gaussian_filter(total.reshape(size, size).astype(np.float32), sigma, truncate=3)
    result: Field = spread * np.float32(_SPLAT_STEP * size * np.sqrt(2 * np.pi) * width * size)
    return result


def smooth_noise(rng: np.random.Generator, cells: int, size: int) -> Field:
    """Noise with unit variance whose grain is 1/`cells` of the side, the same at every size: [size, size]."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return resample(coarse, size, order=3 if cells < 64 else 1)


def resample(field: Field, size: int, order: int = 1) -> Field:
    """A square field stretched to [size, size], pixel centres aligned."""
    cells = field.shape[0]
    if cells == size:
        return field
    at = (np.arange(size) + 0.5) * cells / size - 0.5
    if order == 1:
        return _bilinear(field, at)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    result: Field = ndimage.map_coordinates(field, [rows, columns], order=order, mode="nearest").astype(
        np.float32
    )
    return result


def _bilinear(field: Field, at: NDArray[np.float64]) -> Field:
    low = np.clip(np.floor(at).astype(np.int64), 0, field.shape[0] - 2)
    share = np.clip(at - low, 0, 1).astype(np.float32)
    rows = field[low] * (1 - share)[:, None] + field[low + 1] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share

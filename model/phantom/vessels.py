"""The vessels of the lungs: branching trees from the hila, finer and fainter towards the pleura."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.phantom.canvas import Field, lines

_DOTS = 26  # of a branch
_FORKS = 3  # generations after the first
_WIDTHS = (0.0072, 0.0045, 0.0031)  # standard deviations of the profiles that are drawn


def tree(
    rng: np.random.Generator, hilum: tuple[float, float], sign: int, reach: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One lung's vessels.

    Args:
        rng: decides the branching.
        hilum: x and y of the root.
        sign: -1 for a lung that lies to the left of its hilum in the image, +1 to the right.
        reach: length of the branches, 1 for an adult's frontal view.

    Returns: dots [n, 2] and, for each, brightness times width [n].
    """
    dots, weights = [], []
    angle = np.linspace(-1.45, 1.40, 9) + rng.normal(0, 0.12, 9)
    start = np.array(hilum) + rng.normal(0, 0.014, (9, 2)) + [0, 0.018] * np.sin(angle)[:, None]
    length = reach * rng.uniform(0.075, 0.115, 9)
    width = rng.uniform(0.006, 0.010, 9)
    for _ in range(_FORKS + 1):
        path, direction = _branches(rng, start, angle, length, sign)
        taper = np.linspace(1, 0.75, _DOTS)
        dots.append(path.reshape(-1, 2))
        weights.append(((length / (_DOTS * 0.0025) * width)[:, None] * taper).ravel())
        turn = rng.uniform(0.2, 0.55, (2, len(angle))) * np.array([[1], [-1]])
        start = np.tile(path[:, -1], (2, 1))
        angle = (direction + turn).ravel()
        length = np.tile(length, 2) * rng.uniform(0.65, 0.95, len(angle))
        width = np.tile(width, 2) * 0.66
    return np.concatenate(dots), np.concatenate(weights)


def _branches(
    rng: np.random.Generator,
    start: NDArray[np.float64],
    angle: NDArray[np.float64],
    length: NDArray[np.float64],
    sign: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bend = rng.normal(0, 0.4, len(angle))
    t = np.linspace(0, 1, _DOTS)
    direction = angle[:, None] + bend[:, None] * t
    pace = (length / _DOTS)[:, None]
    steps = np.stack([sign * np.cos(direction) * pace, np.sin(direction) * pace], axis=2)
    return start[:, None] + np.cumsum(steps, axis=1), direction[:, -1]


def draw_vessels(dots: NDArray[np.float64], weights: NDArray[np.float64], size: int) -> Field:
    """Brightness of vessels whose dots carry their width: about 1 in the trunks: [size, size]."""
    total = np.zeros((size, size), np.float32)
    for chosen, width in _by_width(weights):
        total += lines(dots[chosen], weights[chosen], width, size) * np.float32(0.0065 / width / 0.0065)
    return total


def _by_width(weights: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.bool_], float]]:
    edges = (np.inf, 0.006, 0.0034, 0.0)
    for high, low, width in zip(edges, edges[1:], _WIDTHS, strict=False):
        yield (weights < high) & (weights >= low), width

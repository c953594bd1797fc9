"""Finds from the pixels which way up a frontal film is, and whether it is a negative. Pure.

The film is reduced to 24 x 24 ranks (0 for the median), and compared with one template of weights in each of
eight positions (turned by quarters, and mirrored) and both polarities: the softmax of the sixteen products
gives the probability of each. Ranks make the comparison independent of window and gamma; turning the film,
not the template, makes the measure the same for every position. The template is a logistic regression, made
by `scripts/train_plausibility.py`; its numbers are in `template.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 24
# The film is first reduced to this many pixels per side, and uniform borders are cut off.
_COARSE = 96
_FLAT = 6.0
_DEEPEST = 0.4
Ranks = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How to bring a film upright: mirror it, then turn it left by `quarters` quarter turns; and its
    polarity.
    """

    quarters: int
    mirrored: bool
    inverted: bool


POSITIONS = tuple(
    Position(quarters=quarters, mirrored=mirrored, inverted=inverted)
    for inverted in (False, True)
    for mirrored in (False, True)
    for quarters in range(4)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """The result of the template for a film; shares of 1, together over what each names."""

    inverted: float
    upside_down: float
    turned: float
    mirrored: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """Weights [24, 24], and the typical products of upright chest films.

    chest_weights [394] and chest_bias are those of `agent.objects.films.plausibility.chest`.
    """

    weights: NDArray[np.float64]
    scale: float
    chest_weights: NDArray[np.float64]
    chest_bias: float


@lru_cache(maxsize=1)
def built_in() -> Template:
    """Return the shipped template."""
    stored = json.loads((Path(__file__).parent / "template.json").read_text(encoding="utf-8"))
    return Template(
        weights=np.asarray(stored["weights"]),
        scale=float(stored["scale"]),
        chest_weights=np.asarray(stored["chest"]["weights"]),
        chest_bias=float(stored["chest"]["bias"]),
    )


def likeness(ranks: Ranks, template: Template) -> Likeness:
    """Compare a film by its ranks (of bright = dense), [24, 24], with the template."""
    products = compared(ranks, template.weights)
    shares = np.exp(products - products.max())
    shares /= shares.sum()
    inverted = np.array([one.inverted for one in POSITIONS])
    mirrored = np.array([one.mirrored for one in POSITIONS])
    quarters = np.array([one.quarters for one in POSITIONS])
    # Half a turn, with or without mirroring; a chest is nearly symmetric.
    return Likeness(
        inverted=float(shares[inverted].sum()),
        upside_down=float(shares[quarters == 2].sum()),
        turned=float(shares[quarters % 2 == 1].sum()),
        mirrored=float(shares[mirrored & (quarters % 2 == 0)].sum()),
    )


def compared(ranks: Ranks, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the product with the weights in each of `POSITIONS`; [16]."""
    half = [
        float((np.rot90(ranks[:, ::-1] if one.mirrored else ranks, one.quarters) * weights).sum())
        for one in POSITIONS[: len(POSITIONS) // 2]
    ]
    return np.array([*half, *(-one for one in half)])


def ranks_of(pixels: NDArray[np.uint8]) -> Ranks:
    """Reduce a film to 24 x 24 ranks between -1 and 1, without flat borders."""
    coarse = Image.fromarray(pixels).resize((_COARSE, _COARSE), Image.Resampling.BOX)
    inner = _without_borders(np.asarray(coarse, dtype=np.float32))
    small = np.asarray(
        Image.fromarray(inner).resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float64
    ).ravel()
    order = np.argsort(small, kind="stable")
    ranks = np.empty(len(small))
    ranks[order] = np.linspace(-1.0, 1.0, len(small))
    # Equal values share one rank.
    values, index, counts = np.unique(small, return_inverse=True, return_counts=True)
    return (np.bincount(index, weights=ranks, minlength=len(values)) / counts)[index].reshape(SIZE, SIZE)


def _without_borders(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    top, bottom = _flat_ends(pixels)
    left, right = _flat_ends(pixels.T)
    return np.ascontiguousarray(pixels[top : len(pixels) - bottom, left : pixels.shape[1] - right])


def _flat_ends(lines: NDArray[np.float32]) -> tuple[int, int]:
    flat = lines.max(axis=1) - lines.min(axis=1) < _FLAT
    deepest = int(len(flat) * _DEEPEST)
    return tuple(  # type: ignore[return-value]
        len(side) if side.all() else int(np.argmin(side)) for side in (flat[:deepest], flat[::-1][:deepest])
    )

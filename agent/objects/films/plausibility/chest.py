"""Judges from the pixels whether an image looks like a frontal chest film at all. Pure.

The film's 24 x 24 ranks are moved to the position and polarity that the template found likeliest, so that a
turned or inverted film is judged like an upright one. A logistic regression over 394 coarse measures (the
ranks on an 8 x 8 grid and their distance from the mean, the vertical and horizontal changes on 11 x 12 and
12 x 11 grids, the symmetry of left and right, the similarity to the template) then distinguishes frontal
chest films from parts of films, lateral films, other regions, slices, writing and noise. Its numbers are in
`template.json`, made by `scripts/train_plausibility.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.objects.films.plausibility.template import POSITIONS, Ranks, Template, compared

_GRID = 8


def chest_score(ranks: Ranks, template: Template) -> float:
    """Return the log odds that the ranks [24, 24] are those of a frontal chest film in any position."""
    return float(features(ranks, template) @ template.chest_weights + template.chest_bias)


def features(ranks: Ranks, template: Template) -> NDArray[np.float64]:
    """Return the measures of a film; [394]."""
    products = compared(ranks, template.weights)
    upright = _moved(ranks, int(products.argmax()))
    cells = _means(upright, _GRID, _GRID)
    down, across = np.abs(np.diff(upright, axis=0))[:22], np.abs(np.diff(upright, axis=1))[:, :22]
    symmetry = float((upright * upright[:, ::-1]).mean())
    return np.concatenate(
        [
            cells,
            (cells - cells.mean()) ** 2,
            _means(down, 11, 12),
            _means(across, 12, 11),
            [symmetry, float(products.max()) / template.scale],
        ]
    )


def _moved(ranks: Ranks, position: int) -> Ranks:
    one = POSITIONS[position]
    turned = np.rot90(ranks[:, ::-1] if one.mirrored else ranks, one.quarters)
    return -turned if one.inverted else turned


def _means(values: Ranks, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the means of equal blocks, row by row; [rows * columns]."""
    height, width = values.shape[0] // rows, values.shape[1] // columns
    return np.asarray(values.reshape(rows, height, columns, width).mean(axis=(1, 3)).ravel())

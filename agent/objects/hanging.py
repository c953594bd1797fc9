"""The orientation of an image: turned to the radiological hanging position. Pure.

PatientOrientation states the directions of an image's rows and columns.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_sr.attributes import texts
from model.drafts.study import View

Level = TypeVar("Level", np.uint8, np.uint16, np.int32)

# As hung: a frontal film's rows run to the patient's left, a lateral one's to the back; columns to the feet.
_HUNG: dict[View, tuple[str, str]] = {"frontal": ("L", "F"), "lateral": ("P", "F"), "unknown": ("L", "F")}
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}


def hung(pixels: NDArray[Level], header: Dataset, view: View) -> NDArray[Level]:
    """Rotate and mirror the image to its hanging position; [H, W] to [H, W] or [W, H].

    Without a PatientOrientation that fits the view the image is left unchanged.
    Source: PS3.3 C.7.6.1.1.1; row value first, the direction in which the column index grows.
    """
    directions = _directions(header)
    wanted = _HUNG[view]
    if directions is None or {_axis(one) for one in directions} != {_axis(one) for one in wanted}:
        return pixels
    row, column = directions
    if _axis(row) != _axis(wanted[0]):
        pixels, row, column = pixels.T, column, row
    if row != wanted[0]:
        pixels = pixels[:, ::-1]
    if column != wanted[1]:
        pixels = pixels[::-1, :]
    return np.ascontiguousarray(pixels)


def _axis(direction: str) -> str:
    return min(direction, _OPPOSITE[direction])


def _directions(header: Dataset) -> tuple[str, str] | None:
    value = texts(header, "PatientOrientation")
    if len(value) != 2:
        return None
    # 'LF' is mainly left and a little to the feet: the first letter is the main direction.
    row, column = (part.strip().upper()[:1] for part in value)
    if row not in _OPPOSITE or column not in _OPPOSITE:
        return None
    return row, column

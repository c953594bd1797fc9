"""Which way the beam went, and which way the image lies. Pure.

The view comes from ViewPosition, else ViewCodeSequence, else the series' words; the image is turned to the
way in which a radiologist hangs it, by what PatientOrientation says of its rows and columns.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue

View = Literal["frontal", "lateral", "unknown"]
Level = TypeVar("Level", np.uint8, np.uint16)

# PS3.3 C.8.1.2.1 and C.8.11.5.1.1, with the vendors' longer words.
_FRONTAL_POSITIONS = frozenset({"PA", "AP", "FRONTAL", "PORTABLE AP", "AP PORTABLE"})
_LATERAL_POSITIONS = frozenset({"LL", "RL", "LAT", "LATERAL", "LEFT LATERAL", "RIGHT LATERAL"})
# PS3.16 CID 4010, as SCT and as the older SRT codes.
_FRONTAL_CODES = frozenset({"399348003", "272479007", "399033003", "R-10206", "R-10214", "R-102C1"})
_LATERAL_CODES = frozenset({"399067008", "399173006", "399198007", "R-10232", "R-10236", "R-10228"})
_FRONTAL_WORDS = re.compile(r"\b(pa|ap|frontal|portable|bedside|dv|vd)\b", re.IGNORECASE)
_LATERAL_WORDS = re.compile(r"\b(lat|lateral|ll|rl|profile|profil)\b", re.IGNORECASE)
_WORDS_IN = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")

# As hung: a frontal film's rows run to the patient's left, a lateral one's to the back; columns to the feet.
_HUNG: dict[View, tuple[str, str]] = {"frontal": ("L", "F"), "lateral": ("P", "F"), "unknown": ("L", "F")}
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}


def view_of(header: Dataset) -> View:
    """Return the view; `unknown` where the header says nothing, or two things at once."""
    position = _text(header, "ViewPosition").upper()
    if position in _FRONTAL_POSITIONS:
        return "frontal"
    if position in _LATERAL_POSITIONS:
        return "lateral"
    for item in header.get("ViewCodeSequence") or ():
        code = _text(item, "CodeValue").upper()
        if code in _FRONTAL_CODES:
            return "frontal"
        if code in _LATERAL_CODES:
            return "lateral"
    words = " ".join(_text(header, keyword) for keyword in _WORDS_IN).replace("_", " ")
    frontal, lateral = bool(_FRONTAL_WORDS.search(words)), bool(_LATERAL_WORDS.search(words))
    if frontal == lateral:
        return "unknown"
    return "frontal" if frontal else "lateral"


def hung(pixels: NDArray[Level], header: Dataset, view: View) -> NDArray[Level]:
    """Turn and mirror the image to the way in which it is hung; [H, W] to [H, W] or [W, H].

    Without a PatientOrientation that fits the view the image is left as it came.
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
    value: Any = header.get("PatientOrientation")
    if not isinstance(value, MultiValue | list | tuple) or len(value) != 2:
        return None
    # 'LF' is mainly left and a little to the feet: the first letter is the main direction.
    row, column = (str(part).strip().upper()[:1] for part in value)
    if row not in _OPPOSITE or column not in _OPPOSITE:
        return None
    return row, column


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()

"""From stored pixel values to brightness: Modality LUT, VOI LUT or window, polarity. Pure.

Each step is a function of the stored value alone. So all of them are computed once on the table of the
values that can occur (at most 65,536), and a film of 15 million pixels costs one look-up each.
Source: DICOM PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.2 (photometric interpretation),
PS3.4 N.2 (the order of the steps).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue

Values = NDArray[np.float64]

# Share of the pixels that the window of a film without a usable one leaves out at either end.
_TAIL = 0.005
# A window that shows the middle 98 % of the pixels within this share of the brightness shows nothing.
_LEAST_SPREAD = 0.05


class DisplayError(ValueError):
    """The attributes that say how stored values are to be shown contradict themselves."""


def brightness_table(header: Dataset, histogram: NDArray[np.int64], lowest: int) -> NDArray[np.uint8]:
    """Return the brightness (0 to 255, bright = dense) of each stored value.

    Args:
        header: the image's attributes, without pixel data.
        histogram: how many pixels have the value `lowest + index`; [V].
        lowest: the smallest stored value in the table.

    Raises:
        DisplayError: a Modality LUT that cannot be applied; a VOI LUT or window that cannot is ignored,
            since it is only a wish for the display.
    """
    stored = np.arange(lowest, lowest + len(histogram), dtype=np.float64)
    padding = padding_mask(header, stored)
    counted = np.where(padding, 0, histogram)
    values = modality_values(header, stored)
    shown = voi_brightness(header, values)
    if shown is None or not _shows_something(shown, counted):
        shown = percentile_brightness(values, counted)
    if is_inverted(header):
        shown = 1.0 - shown
    shown = np.where(padding, 0.0, shown)
    return np.asarray(np.rint(shown * 255.0), dtype=np.uint8)


def padding_mask(header: Dataset, stored: Values) -> NDArray[np.bool_]:
    """Return which stored values are padding, which is shown black.

    Source: PS3.3 C.7.5.1.1.2.
    """
    first = _number(header, "PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    last = _number(header, "PixelPaddingRangeLimit")
    ends = (first, first if last is None else last)
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def modality_values(header: Dataset, stored: Values) -> Values:
    """Apply the Modality LUT Sequence, else slope and intercept, else nothing."""
    sequence = header.get("ModalityLUTSequence")
    if sequence:
        return _look_up(stored, sequence[0])
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if slope is None and intercept is None:
        return stored
    slope = 1.0 if slope is None else slope
    if slope == 0:
        raise DisplayError("a rescale slope of zero")
    return stored * slope + (intercept or 0.0)


def voi_brightness(header: Dataset, values: Values) -> Values | None:
    """Apply the VOI LUT Sequence, else the first window; None where there is no usable one."""
    sequence = header.get("VOILUTSequence")
    if sequence:
        try:
            shown = _look_up(values, sequence[0])
        except DisplayError:
            return None
        span = float(shown.max() - shown.min())
        return (shown - shown.min()) / span if span > 0 else None
    center, width = _number(header, "WindowCenter"), _number(header, "WindowWidth")
    if center is None or width is None:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    if width < 1 if function == "LINEAR" else width <= 0:
        return None
    return windowed(values, center, width, function)


def windowed(values: Values, center: float, width: float, function: str = "LINEAR") -> Values:
    """Return the brightness in 0 to 1 under a window.

    Source: PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
    """
    if function == "SIGMOID":
        exponent = np.clip(-4.0 * (values - center) / width, -500.0, 500.0)
        return np.asarray(1.0 / (1.0 + np.exp(exponent)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        # The general formula divides by zero here; the clause makes it a threshold.
        return np.where(values > center - 0.5, 1.0, 0.0)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def percentile_brightness(values: Values, histogram: NDArray[np.int64]) -> Values:
    """Return the brightness in 0 to 1 between the 0.5 and 99.5 percentile of the pixels."""
    low, high = _percentile(values, histogram, _TAIL), _percentile(values, histogram, 1.0 - _TAIL)
    if high <= low:
        low, high = _percentile(values, histogram, 0.0), _percentile(values, histogram, 1.0)
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def is_inverted(header: Dataset) -> bool:
    """Return whether small values are the bright ones.

    MONOCHROME1 says so, and so does Presentation LUT Shape INVERSE; a digital film states both for one
    and the same inversion (PS3.3 C.8.11.3.1.2), so that both together invert once.
    """
    photometric = str(header.get("PhotometricInterpretation") or "").strip().upper()
    shape = str(header.get("PresentationLUTShape") or "").strip().upper()
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def _shows_something(shown: Values, histogram: NDArray[np.int64]) -> bool:
    low, high = _percentile(shown, histogram, 0.01), _percentile(shown, histogram, 0.99)
    return high - low >= _LEAST_SPREAD


def _percentile(values: Values, histogram: NDArray[np.int64], share: float) -> float:
    """Return the value that `share` of the pixels do not exceed; 0 for an image without pixels."""
    used = np.flatnonzero(histogram)
    if len(used) == 0:
        return 0.0
    order = used[np.argsort(values[used], kind="stable")]
    reached = np.cumsum(histogram[order])
    position = int(np.searchsorted(reached, share * float(reached[-1]), side="left"))
    return float(values[order[min(position, len(order) - 1)]])


def _look_up(values: Values, item: Dataset) -> Values:
    """Map values through one LUT item; values beyond its ends take the end's entry.

    Source: PS3.3 C.11.1.1 and C.11.2.1.1.
    """
    descriptor = item.get("LUTDescriptor")
    if not isinstance(descriptor, MultiValue | list | tuple) or len(descriptor) != 3:
        raise DisplayError("a LUT without a descriptor of three values")
    entries, first, bits = (int(part) for part in descriptor)
    entries = entries or 65536
    if first > 32767 and values.min() < 0:
        # The descriptor's second value is signed where the data are, but is often read as unsigned.
        first -= 65536
    table = _lut_entries(item, entries, bits)
    index = np.clip(np.rint(values) - first, 0, len(table) - 1)
    return np.asarray(table[index.astype(np.int64)], dtype=np.float64)


def _lut_entries(item: Dataset, entries: int, bits: int) -> Values:
    data: Any = item.get("LUTData")
    if isinstance(data, bytes):
        # Eight-bit entries may be packed two to a word.
        kind = np.uint8 if bits == 8 and len(data) < 2 * entries else np.dtype("<u2")
        table = np.frombuffer(data[: len(data) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
    elif isinstance(data, Iterable):
        table = np.asarray([int(entry) for entry in data])
    else:
        raise DisplayError("a LUT without data")
    if len(table) < entries:
        raise DisplayError("a LUT with fewer entries than its descriptor says")
    return np.asarray(table[:entries], dtype=np.float64)


def _number(header: Dataset, keyword: str) -> float | None:
    """Return the first value of a numeric attribute; None where it is absent, empty or no number."""
    value = header.get(keyword)
    if isinstance(value, MultiValue | list | tuple):
        value = value[0] if len(value) else None
    if value is None or value == "" or isinstance(value, bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None

"""From stored pixel values to brightness: Modality LUT, VOI LUT or window, polarity. Pure.

Each step is a function of the stored value alone, so all steps are computed once for the table of possible
values (at most 65,536), and each of a film's 15 million pixels takes one look-up.
Source: DICOM PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.2 (photometric interpretation),
PS3.4 N.2 (the order of the steps).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_sr.attributes import integer, integers, is_stated, items, number, numbers, octets, text

Values = NDArray[np.float64]

# Share of the pixels clipped at either end when a film has no usable window.
_TAIL = 0.005
# A window that maps the middle 98 % of the pixels to less than this share of the brightness is useless.
_LEAST_SPREAD = 0.05


class DisplayError(ValueError):
    """The display attributes of an image contradict each other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brightness:
    """The brightness of each stored value (0 to 255, bright = dense), [V]; and how it was derived.

    window_ignored: the window or VOI LUT of the header shows nothing, so the range of the data was used

    instead.
    """

    table: NDArray[np.uint8]
    window_ignored: bool


def brightness_table(header: Dataset, histogram: NDArray[np.int64], lowest: int) -> NDArray[np.uint8]:
    """Return `brightness` alone."""
    return brightness(header, histogram, lowest).table


def brightness(header: Dataset, histogram: NDArray[np.int64], lowest: int) -> Brightness:
    """Return the brightness of each stored value.

    Args:
        header: the image's attributes, without pixel data.
        histogram: the number of pixels in the exposed field with the value `lowest + index`; [V].
        lowest: the smallest stored value in the table.

    Raises:
        DisplayError: a stated Modality LUT or rescale cannot be applied; a VOI LUT or window that cannot be
        applied is ignored, since it is only a display preference.
    """
    stored = np.arange(lowest, lowest + len(histogram), dtype=np.float64)
    padding = padding_mask(header, stored)
    counted = np.where(padding, 0, histogram)
    values = modality_values(header, stored)
    shown = next((one for one in voi_candidates(header, values) if _shows_something(one, counted)), None)
    ignored = shown is None and (is_stated(header, "WindowWidth") or is_stated(header, "VOILUTSequence"))
    if shown is None:
        shown = percentile_brightness(values, counted)
    if is_inverted(header):
        shown = 1.0 - shown
    shown = np.where(padding, 0.0, shown)
    return Brightness(table=np.asarray(np.rint(shown * 255.0), dtype=np.uint8), window_ignored=ignored)


def padding_mask(header: Dataset, stored: Values) -> NDArray[np.bool_]:
    """Return the stored values that are padding, which is shown black.

    A padding value may be read as unsigned although the data are signed, or the other way round, and may be
    wider than the sample that it is stored in.
    Source: PS3.3 C.7.5.1.1.2.
    """
    first, last = number(header, "PixelPaddingValue"), number(header, "PixelPaddingRangeLimit")
    if first is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = [first] if last is None else [first, last]
    bits = integer(header, "BitsStored") or 16
    signed = integer(header, "PixelRepresentation") == 1
    low: float = -(2 ** (bits - 1)) if signed else 0
    high: float = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    if stored.size and stored.min() <= min(ends) and max(ends) <= stored.max():
        low, high = min(ends), max(ends)  # the data contain it as stated
    fitted = [one if low <= one <= high else _wrapped(one, bits, signed=signed) for one in ends]
    return np.asarray((stored >= min(fitted)) & (stored <= max(fitted)))


def _wrapped(value: float, bits: int, *, signed: bool) -> float:
    """Return a value as stored in a sample of this many bits."""
    sample = int(value) & (2**bits - 1)
    return float(sample - 2**bits if signed and sample >= 2 ** (bits - 1) else sample)


def modality_values(header: Dataset, stored: Values) -> Values:
    """Apply the Modality LUT Sequence, else slope and intercept, else nothing.

    Raises:
        DisplayError: one of them is stated but cannot be read: the values would mean something else.
    """
    if is_stated(header, "ModalityLUTSequence"):
        sequence = items(header, "ModalityLUTSequence")
        if not sequence:
            raise DisplayError("a Modality LUT that is not a sequence")
        return _look_up(stored, sequence[0])
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if value is None and is_stated(header, keyword):
            raise DisplayError("a rescale that is not a number")
    if slope is None and intercept is None:
        return stored
    slope = 1.0 if slope is None else slope
    if slope == 0:
        raise DisplayError("a rescale slope of zero")
    return stored * slope + (intercept or 0.0)


def voi_candidates(header: Dataset, values: Values) -> Iterator[Values]:
    """Yield the output of each usable VOI LUT, then of each window, in the header's order."""
    for item in items(header, "VOILUTSequence"):
        try:
            shown = _look_up(values, item)
        except DisplayError:
            continue
        span = float(shown.max() - shown.min())
        if span > 0:
            yield (shown - shown.min()) / span
    function = text(header, "VOILUTFunction").strip().upper() or "LINEAR"
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    for center, width in zip(centers, widths, strict=False):
        if width >= 1 or (width > 0 and function != "LINEAR"):
            yield windowed(values, center, width, function)


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
    """Return the brightness, 0 to 1, between the 0.5 and 99.5 percentiles of the pixels."""
    low, high = _percentile(values, histogram, _TAIL), _percentile(values, histogram, 1.0 - _TAIL)
    if high <= low:
        low, high = _percentile(values, histogram, 0.0), _percentile(values, histogram, 1.0)
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def is_inverted(header: Dataset) -> bool:
    """Return whether small values are bright.

    MONOCHROME1 says so, and so does Presentation LUT Shape INVERSE; a digital film states both for one
    and the same inversion (PS3.3 C.8.11.3.1.2), so both together invert once.
    """
    photometric = text(header, "PhotometricInterpretation").strip().upper()
    shape = text(header, "PresentationLUTShape").strip().upper()
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
    descriptor = integers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise DisplayError("a LUT without a descriptor of three values")
    entries, first, bits = descriptor
    entries = entries or 65536
    if first > 32767 and values.min() < 0:
        # The descriptor's second value is signed if the data are, but is often read as unsigned.
        first -= 65536
    table = _lut_entries(item, entries, bits)
    index = np.clip(np.rint(values) - first, 0, len(table) - 1)
    return np.asarray(table[index.astype(np.int64)], dtype=np.float64)


def _lut_entries(item: Dataset, entries: int, bits: int) -> Values:
    data = octets(item, "LUTData")
    if data:
        # Eight-bit entries may be packed two to a word.
        kind = np.uint8 if bits == 8 and len(data) < 2 * entries else np.dtype("<u2")
        table = np.frombuffer(data[: len(data) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
    else:
        table = np.asarray(integers(item, "LUTData"))
    if entries < 1 or len(table) == 0:
        raise DisplayError("a LUT without data")
    if len(table) < entries:
        raise DisplayError("a LUT with fewer entries than its descriptor says")
    return np.asarray(table[:entries], dtype=np.float64)

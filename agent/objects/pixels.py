"""From a DICOM file to the network's input image: 8 bits, bright = dense, in hanging position.

Whatever is wrong with a file, only `UnreadableImage` is raised, with a text that quotes nothing from it: the
messages of pydicom and the codecs contain values.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from agent.foundation.errors import ObjectOverBudget, UnreadableImage, UnreadableInstance
from agent.foundation.image_errors import ImageOverBudget
from agent.objects.codestream import codestream_size
from agent.objects.exposure_field import exposure_mask
from agent.objects.grayscale import brightness, brightness_table, is_inverted, modality_values
from agent.objects.guarded_read import read_used
from agent.objects.hanging import Level, hung
from dicom_sr.attributes import integer, numbers, text
from model.drafts.study import View

# The largest detectors have 18 million pixels; a header may claim 4 billion.
MAXIMUM_PIXELS = 50_000_000
# Every exception that parsers and codecs are known to raise on broken files, including MemoryError, because a
# codec that trusts a size field allocates too much.
_FOREIGN_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, ImportError,
    InvalidDicomError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError, struct.error,
    zlib.error,
)  # fmt: skip
_HEAVY = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "IconImageSequence", "WaveformSequence")
# A colour image whose channels differ by more than this (mean, of 255) is not a radiograph.
_MOST_COLOUR = 8.0
# Pixels whose height and width differ by less than this share count as square; no detector's pixels are more
# elongated than this factor.
_NEARLY_SQUARE, _MOST_OBLONG = 0.02, 5.0
# Outside the sample, an overlay or a few damaged words set bits in no more than this share of the pixels.
_MOST_BEYOND = 0.1
# ITU-R BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyImage:
    """One decoded image: `pixels` uint8 [H, W] bright = dense, its view, and its header without pixels.

    window_ignored: the window in the header shows nothing. exposed: share of the pixels (0 to 1) inside
    shutter and collimation. wrapped: share of neighbouring pixels that differ by most of the range of the
    sample, as happens if its upper bits were cut off.
    """

    pixels: NDArray[np.uint8]
    view: View
    header: Dataset
    window_ignored: bool = False
    exposed: float = 1.0
    wrapped: float = 0.0


def load_image(path: Path, view: View = "frontal") -> StudyImage:
    """Read and decode one file, hung as an image of this view.

    Raises:
        UnreadableImage: no DICOM, no image, several frames, colour, too large, or not decodable.
    """
    dataset, stored = _decoded(path)
    with _only_unreadable("the display attributes of the image cannot be applied"):
        mask = exposure_mask(dataset, stored) if stored.ndim == 2 else None
        header = _without_pixels(dataset)
        exposed, ignored = 1.0, False
        if stored.ndim == 3:
            pixels = _luminance(stored)
        else:
            exposed = 1.0 if mask is None else float(mask.mean())
            index, histogram, lowest = _indexed(stored, mask)
            found = brightness(header, histogram, lowest)
            pixels, ignored = found.table[index], found.window_ignored
        pixels = hung(_square(pixels, header), header, view)
    return StudyImage(
        pixels=pixels,
        view=view,
        header=header,
        window_ignored=ignored,
        exposed=exposed,
        wrapped=_wrapped(stored, integer(header, "BitsStored") or 16),
    )


def _decoded(path: Path) -> tuple[FileDataset, NDArray[np.integer]]:
    dataset = _read(path)
    with _only_unreadable("the attributes of the pixel data contradict themselves"):
        _check(dataset)
    with _only_unreadable("the pixel data cannot be decoded"):
        return dataset, _decode(dataset)


def _wrapped(stored: NDArray[np.integer], bits: int) -> float:
    """Return the share of horizontal neighbours that differ by more than three quarters of the range."""
    if stored.ndim != 2 or stored.shape[1] < 2:
        return 0.0
    some = stored[:: max(1, stored.shape[0] // 256)].astype(np.int32)
    return float((np.abs(np.diff(some, axis=1)) > 0.75 * 2**bits).mean())


def _indexed(
    stored: NDArray[np.integer], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    """Return each pixel as an index into the table of values, the number of exposed pixels for each
    value, and the lowest value.
    """
    lowest = int(stored.min())
    index = stored.astype(np.int32) - lowest  # [H, W], from 0
    values = int(index.max()) + 1
    if values > 0x10000:
        raise UnreadableImage("the pixel values span more than 16 bits")
    counted = index.ravel() if mask is None else index[mask]
    return index, np.bincount(counted, minlength=values).astype(np.int64), lowest


def _square(pixels: NDArray[Level], header: Dataset) -> NDArray[Level]:
    """Resample an image whose pixels are not square; the finer direction keeps its resolution.

    Source: PS3.3 C.7.6.3.1.7 (Pixel Aspect Ratio: vertical, then horizontal), 10.7.1.3 (spacing: rows first).
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        spacing = numbers(header, keyword)
        if len(spacing) == 2 and min(spacing) > 0:
            break
    else:
        return pixels
    ratio = spacing[0] / spacing[1]  # height of a pixel by its width
    if not 1 / _MOST_OBLONG <= ratio <= _MOST_OBLONG or abs(ratio - 1) < _NEARLY_SQUARE:
        return pixels
    rows, columns = pixels.shape
    size = (columns, round(rows * ratio)) if ratio > 1 else (round(columns / ratio), rows)
    if size[0] * size[1] > MAXIMUM_PIXELS:
        raise UnreadableImage(f"the image has more than {MAXIMUM_PIXELS} pixels when these are square")
    resized = Image.fromarray(pixels.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    square: NDArray[Level] = np.rint(np.asarray(resized)).astype(pixels.dtype)
    return square


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewerFilm:
    """One image for a viewer: `values` uint16 [H, W] bright = dense, and its stated window."""

    values: NDArray[np.uint16]
    low: int
    high: int


def load_film(path: Path, view: View = "frontal") -> ViewerFilm:
    """Read one file with all its grey levels, hung as an image of this view.

    Raises:
        UnreadableImage: as for `load_image`.
    """
    dataset, stored = _decoded(path)
    with _only_unreadable("the display attributes of the image cannot be applied"):
        mask = exposure_mask(dataset, stored) if stored.ndim == 2 else None
        header = _without_pixels(dataset)
        if stored.ndim == 3:
            values, low, high = _luminance(stored).astype(np.uint16) * np.uint16(257), 0, 0xFFFF
        else:
            values, low, high = _levels(stored, header, mask)
        return ViewerFilm(values=hung(_square(values, header), header, view), low=low, high=high)


def load_stored(path: Path, view: View = "frontal") -> NDArray[np.int32]:
    """Read the stored values [H, W] of one file, hung as an image of this view; for RGB, the luma.

    Non-square pixels are not resampled: each value of the file occurs exactly once.

    Raises:
        UnreadableImage: as for `load_image`.
    """
    dataset, stored = _decoded(path)
    with _only_unreadable("the display attributes of the image cannot be applied"):
        values = _luminance(stored) if stored.ndim == 3 else stored
        return hung(values.astype(np.int32), _without_pixels(dataset), view)


def _levels(
    stored: NDArray[np.integer], header: Dataset, mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint16], int, int]:
    """Spread the modality values over 16 bits; the ends of the window are where the default display
    saturates.
    """
    index, histogram, lowest = _indexed(stored, mask)
    shown = brightness_table(header, histogram, lowest)  # [V]
    values = modality_values(header, np.arange(lowest, lowest + len(histogram), dtype=np.float64))
    values = -values if is_inverted(header) else values
    span = float(values.max() - values.min()) or 1.0
    table = np.rint((values - values.min()) / span * 0xFFFF).astype(np.uint16)
    black, white = table[shown <= 2], table[shown >= 253]
    low = int(black.max()) if len(black) else 0
    high = int(white.min()) if len(white) else 0xFFFF
    return table[index], low, high if high > low else low + 1


def load_header(path: Path) -> Dataset:
    """Read the attributes without the pixel data.

    Raises:
        UnreadableImage: the file is not DICOM, or its dataset is broken.
    """
    dataset = _read(path, stop_before_pixels=True)
    with _only_unreadable("the file cannot be parsed as DICOM"):
        return _without_pixels(dataset)


@contextmanager
def _only_unreadable(what: str) -> Iterator[None]:
    try:
        yield
    except ObjectOverBudget as error:
        raise ImageOverBudget(str(error)) from error
    except UnreadableInstance as error:  # its text is ours
        raise UnreadableImage(f"{what}: {error}") from error
    except _FOREIGN_ERRORS as error:
        raise UnreadableImage(f"{what}; look at the object with a DICOM viewer and resend it") from error


def _read(path: Path, *, stop_before_pixels: bool = False) -> FileDataset:
    with _only_unreadable("the file cannot be parsed as DICOM"):
        return read_used(path, pixels=not stop_before_pixels)


def _check(dataset: FileDataset) -> None:
    """Refuse anything but a single grey image of a plausible size, before decoding."""
    if "PixelData" not in dataset:
        raise UnreadableImage("the object has no pixel data")
    if (integer(dataset, "NumberOfFrames") or 1) != 1:
        raise UnreadableImage("the object has several frames; only single images are drafted")
    if "NumberOfFrames" in dataset:
        del dataset.NumberOfFrames  # a value of any kind there must not break the decoder
    rows, columns = _stated(dataset, "Rows"), _stated(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise UnreadableImage("the image has no rows or no columns")
    if rows * columns > MAXIMUM_PIXELS:
        raise UnreadableImage(f"the image has more than {MAXIMUM_PIXELS} pixels")
    if _stated(dataset, "BitsAllocated") not in (8, 16) or not 2 <= _stated(dataset, "BitsStored") <= 16:
        raise UnreadableImage("the image has neither 8 nor 16 bits a sample")
    if _stated(dataset, "SamplesPerPixel") not in (1, 3):
        raise UnreadableImage("the image has neither one nor three samples a pixel")
    if text(dataset, "PhotometricInterpretation").upper() == "PALETTE COLOR":
        raise UnreadableImage("the image is in palette colours, which no radiograph is")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_codestream(dataset, rows, columns)


def _stated(dataset: Dataset, keyword: str) -> int:
    value = integer(dataset, keyword)
    if value is None:
        raise UnreadableImage(f"{keyword} is missing or no number; resend the object from its source")
    return value


def _check_codestream(dataset: FileDataset, rows: int, columns: int) -> None:
    size = codestream_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
    if size is None:
        if dataset.file_meta.TransferSyntaxUID != RLELossless:
            raise UnreadableImage("the compressed pixel data have no frame header")
    elif (size.rows, size.columns, size.samples) != (rows, columns, _stated(dataset, "SamplesPerPixel")):
        raise UnreadableImage("the compressed pixel data have another size than the header says")


def _decode(dataset: FileDataset) -> NDArray[np.integer]:
    """Return the stored values [H, W], or the colours [H, W, 3] as RGB."""
    syntax = dataset.file_meta.TransferSyntaxUID
    colour = _stated(dataset, "SamplesPerPixel") == 3
    options: Any = {"raw": not colour, "correct_unused_bits": False}
    array, _properties = get_decoder(syntax).as_array(dataset, index=0, **options)
    if array.ndim != (3 if colour else 2) or not np.issubdtype(array.dtype, np.integer):
        raise UnreadableImage("the pixel data decode to something that is not an image")
    if colour or (syntax.is_encapsulated and syntax != RLELossless):
        # A codec returns whole samples; the following is for words with more bits than the sample.
        return array
    return _stored_bits(array, dataset)


def _stored_bits(array: NDArray[np.integer], dataset: Dataset) -> NDArray[np.integer]:
    """Extract the sample from its word: the other bits may hold an overlay.

    Source: PS3.5 8.1.1 (Bits Allocated, Bits Stored, High Bit).
    """
    bits = _stated(dataset, "BitsStored")
    shift = _stated(dataset, "HighBit") + 1 - bits
    allocated = _stated(dataset, "BitsAllocated")
    if shift < 0 or bits + shift > allocated:
        raise UnreadableImage("Bits Stored and High Bit do not fit into Bits Allocated")
    if bits == allocated:
        return array
    words = array.astype(np.int32)
    beyond = (words >> (shift + bits)) & ((1 << (allocated - shift - bits)) - 1)
    unsigned = integer(dataset, "PixelRepresentation") != 1
    if unsigned and float((beyond != 0).mean()) > _MOST_BEYOND:
        raise UnreadableImage(
            "Bits Stored is too small: the samples' upper bits were cut off; resend the image"
        )
    sample = (words >> shift) & ((1 << bits) - 1)
    if integer(dataset, "PixelRepresentation") == 1:
        sign = 1 << (bits - 1)
        sample = (sample ^ sign) - sign
    return sample


def _luminance(colours: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the luma of an RGB image whose colours are all grey.

    Raises:
        UnreadableImage: the image is colourful, so no radiograph; or not 8 bits a sample.
    """
    if colours.dtype != np.uint8:
        raise UnreadableImage("a colour image with more than 8 bits a sample is not a radiograph")
    spread = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)  # [H, W]
    if float(spread.mean()) > _MOST_COLOUR:
        raise UnreadableImage("the image is in colour, which no radiograph is")
    return np.asarray(np.rint(colours.astype(np.float32) @ _LUMA), dtype=np.uint8)


def _without_pixels(dataset: FileDataset) -> Dataset:
    """Return the header for the documents, without the large values."""
    for keyword in _HEAVY:
        if keyword in dataset:
            delattr(dataset, keyword)
    for element in [tag for tag in dataset.keys() if tag.group & 0xFF00 in (0x6000, 0x5000)]:  # noqa: SIM118
        del dataset[element]
    return dataset

"""A DICOM file to the image that the network sees: 8 bits, bright = dense, hung as a radiologist hangs it.

Whatever is wrong with a file, only `UnreadableImage` comes out, with a text that quotes nothing of it:
pydicom's and the codecs' own messages hold values.
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
from pydicom import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from agent.foundation.errors import UnreadableImage, UnreadableInstance
from agent.objects.codestream import codestream_size
from agent.objects.grayscale import brightness_table, is_inverted, modality_values
from agent.objects.guarded_read import read_used
from agent.objects.projection import View, hung, view_of

# The largest detectors have 18 million pixels; a header may claim 4 billion.
MAXIMUM_PIXELS = 50_000_000
# Everything that parsers and codecs have been seen to raise on broken files. MemoryError is among them
# because a codec that trusts a size field asks for too much.
_FOREIGN_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, ImportError,
    InvalidDicomError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError, struct.error,
    zlib.error,
)  # fmt: skip
_HEAVY = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "IconImageSequence", "WaveformSequence")
# A colour image whose channels differ by more than this (mean, of 255) is no radiograph.
_MOST_COLOUR = 8.0
# ITU-R BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyImage:
    """One decoded image: `pixels` uint8 [H, W] bright = dense, its view, and its header without pixels."""

    pixels: NDArray[np.uint8]
    view: View
    header: Dataset


def load_image(path: Path) -> StudyImage:
    """Read and decode one file.

    Raises:
        UnreadableImage: no DICOM, no image, several frames, colour, too large, or not decodable.
    """
    dataset = _read(path)
    with _only_unreadable("the attributes of the pixel data contradict themselves"):
        _check(dataset)
    with _only_unreadable("the pixel data cannot be decoded"):
        stored = _decode(dataset)
    with _only_unreadable("the display attributes of the image cannot be applied"):
        header = _without_pixels(dataset)
        view = view_of(header)
        pixels = _luminance(stored) if stored.ndim == 3 else _brightness(stored, header)
        pixels = hung(pixels, header, view)
    return StudyImage(pixels=pixels, view=view, header=header)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Film:
    """One image for a viewer: `values` uint16 [H, W] bright = dense, and the window that it asks for."""

    values: NDArray[np.uint16]
    low: int
    high: int


def load_film(path: Path) -> Film:
    """Read one file with all of its grey levels, hung as a radiologist hangs it.

    Raises:
        UnreadableImage: as for `load_image`.
    """
    dataset = _read(path)
    with _only_unreadable("the attributes of the pixel data contradict themselves"):
        _check(dataset)
    with _only_unreadable("the pixel data cannot be decoded"):
        stored = _decode(dataset)
    with _only_unreadable("the display attributes of the image cannot be applied"):
        header = _without_pixels(dataset)
        if stored.ndim == 3:
            values, low, high = _luminance(stored).astype(np.uint16) * np.uint16(257), 0, 0xFFFF
        else:
            values, low, high = _levels(stored, header)
        return Film(values=hung(values, header, view_of(header)), low=low, high=high)


def _levels(stored: NDArray[np.integer], header: Dataset) -> tuple[NDArray[np.uint16], int, int]:
    """Spread the modality values over 16 bits; the window's ends are where the default display saturates."""
    lowest = int(stored.min())
    index = stored.astype(np.int32) - lowest
    if int(index.max()) > 0xFFFF:
        raise UnreadableImage("the pixel values span more than 16 bits")
    histogram = np.bincount(index.ravel()).astype(np.int64)
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
        UnreadableImage: the file is no DICOM, or its dataset is broken.
    """
    dataset = _read(path, stop_before_pixels=True)
    with _only_unreadable("the file cannot be parsed as DICOM"):
        return _without_pixels(dataset)


@contextmanager
def _only_unreadable(what: str) -> Iterator[None]:
    try:
        yield
    except UnreadableInstance as error:  # its text is ours
        raise UnreadableImage(f"{what}: {error}") from error
    except _FOREIGN_ERRORS as error:
        raise UnreadableImage(f"{what}; look at the object with a DICOM viewer and resend it") from error


def _read(path: Path, *, stop_before_pixels: bool = False) -> FileDataset:
    with _only_unreadable("the file cannot be parsed as DICOM"):
        return read_used(path, pixels=not stop_before_pixels)


def _check(dataset: FileDataset) -> None:
    """Refuse what is no single grey image of a sane size, before anything is decoded."""
    if "PixelData" not in dataset:
        raise UnreadableImage("the object has no pixel data")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise UnreadableImage("the object has several frames; only single images are drafted")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows < 1 or columns < 1:
        raise UnreadableImage("the image has no rows or no columns")
    if rows * columns > MAXIMUM_PIXELS:
        raise UnreadableImage(f"the image has more than {MAXIMUM_PIXELS} pixels")
    if int(dataset.BitsAllocated) not in (8, 16) or not 2 <= int(dataset.BitsStored) <= 16:
        raise UnreadableImage("the image has neither 8 nor 16 bits a sample")
    if int(dataset.SamplesPerPixel) not in (1, 3):
        raise UnreadableImage("the image has neither one nor three samples a pixel")
    if str(dataset.PhotometricInterpretation).strip().upper() == "PALETTE COLOR":
        raise UnreadableImage("the image is in palette colours, which no radiograph is")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_codestream(dataset, rows, columns)


def _check_codestream(dataset: FileDataset, rows: int, columns: int) -> None:
    size = codestream_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
    if size is None:
        if dataset.file_meta.TransferSyntaxUID != RLELossless:
            raise UnreadableImage("the compressed pixel data have no frame header")
    elif (size.rows, size.columns, size.samples) != (rows, columns, int(dataset.SamplesPerPixel)):
        raise UnreadableImage("the compressed pixel data have another size than the header says")


def _decode(dataset: FileDataset) -> NDArray[np.integer]:
    """Return the stored values [H, W], or the colours [H, W, 3] as RGB."""
    syntax = dataset.file_meta.TransferSyntaxUID
    colour = int(dataset.SamplesPerPixel) == 3
    options: Any = {"raw": not colour, "correct_unused_bits": False}
    array, _properties = get_decoder(syntax).as_array(dataset, index=0, **options)
    if array.ndim != (3 if colour else 2) or not np.issubdtype(array.dtype, np.integer):
        raise UnreadableImage("the pixel data decode to something that is no image")
    if colour or (syntax.is_encapsulated and syntax != RLELossless):
        # A codec gives whole samples; what follows concerns words that hold more than the sample.
        return array
    return _stored_bits(array, dataset)


def _stored_bits(array: NDArray[np.integer], dataset: Dataset) -> NDArray[np.integer]:
    """Cut the sample out of its word: the bits beside it may hold an overlay.

    Source: PS3.5 8.1.1 (Bits Allocated, Bits Stored, High Bit).
    """
    bits = int(dataset.BitsStored)
    shift = int(dataset.HighBit) + 1 - bits
    allocated = int(dataset.BitsAllocated)
    if shift < 0 or bits + shift > allocated:
        raise UnreadableImage("Bits Stored and High Bit do not fit into Bits Allocated")
    if bits == allocated:
        return array
    sample = (array.astype(np.int32) >> shift) & ((1 << bits) - 1)
    if int(dataset.get("PixelRepresentation") or 0) == 1:
        sign = 1 << (bits - 1)
        sample = (sample ^ sign) - sign
    return sample


def _brightness(stored: NDArray[np.integer], header: Dataset) -> NDArray[np.uint8]:
    lowest = int(stored.min())
    index = stored.astype(np.int32) - lowest  # [H, W], from 0
    if int(index.max()) > 0xFFFF:
        raise UnreadableImage("the pixel values span more than 16 bits")
    histogram = np.bincount(index.ravel())  # [V]
    return brightness_table(header, histogram.astype(np.int64), lowest)[index]


def _luminance(colours: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the luma of an RGB image whose colours are greys.

    Raises:
        UnreadableImage: the image is colourful, so no radiograph; or not 8 bits a sample.
    """
    if colours.dtype != np.uint8:
        raise UnreadableImage("a colour image with more than 8 bits a sample is no radiograph")
    spread = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)  # [H, W]
    if float(spread.mean()) > _MOST_COLOUR:
        raise UnreadableImage("the image is in colour, which no radiograph is")
    return np.asarray(np.rint(colours.astype(np.float32) @ _LUMA), dtype=np.uint8)


def _without_pixels(dataset: FileDataset) -> Dataset:
    """Return the header: what the documents need, without what fills memory."""
    for keyword in _HEAVY:
        if keyword in dataset:
            delattr(dataset, keyword)
    for element in [tag for tag in dataset.keys() if tag.group & 0xFF00 in (0x6000, 0x5000)]:  # noqa: SIM118
        del dataset[element]
    return dataset

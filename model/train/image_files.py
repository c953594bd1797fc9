"""Image files of a data set: PNG, JPEG and TIFF of 8 or 16 bits, as grey values, bright = dense.

Sixteen bits stay sixteen: such files hold the detector's range in part of the type's, so the image's own
range is stretched over all of it, as the serving path does without a stored window.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from model.errors import ModelError

_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_MOST_PIXELS = 50_000_000  # of a radiograph; more is a mistake or an attack


class ImageFileError(ModelError):
    """An image file cannot be used. Its text says why, without the file's content."""

    code = "image_file"
    retryable = False


def read_image(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Grey values [H, W] of a file. Raises: ImageFileError."""
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise ImageFileError(f"image {path.name!r} has more than {_MOST_PIXELS:,} pixels")
            if opened.mode in _WIDE:
                return _stretched(np.asarray(opened))
            if opened.mode == "F":
                raise ImageFileError(f"image {path.name!r} holds fractions, not 8- or 16-bit grey values")
            return np.asarray(opened.convert("L"), dtype=np.uint8)
    except FileNotFoundError as error:
        raise ImageFileError(f"image {path.name!r} is not there") from error
    except UnidentifiedImageError as error:
        with path.open("rb") as stream:
            if stream.read(132)[128:] == b"DICM":
                raise ImageFileError(
                    f"image {path.name!r} is DICOM: echo-agent data dicom makes images of it as serving does"
                ) from error
        raise ImageFileError(f"image {path.name!r} is no PNG, JPEG or TIFF file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"image {path.name!r} cannot be decoded ({type(error).__name__})") from error


def image_problem(path: Path) -> str:
    """What is wrong with a file, after its name; empty where it can be used."""
    try:
        read_image(path)
    except ImageFileError as error:
        return str(error).split("' ", 1)[-1]
    return ""


def _stretched(values: NDArray[np.generic]) -> NDArray[np.uint16]:
    wide = values.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    scaled = (wide - low) * (65535.0 / max(high - low, 1.0))
    return np.rint(scaled).astype(np.uint16)

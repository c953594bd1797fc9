"""Reads the image files of a data set (PNG, JPEG and TIFF of 8 or 16 bits) as grey values, bright = dense.

Sixteen bits stay sixteen: in such files the detector's range is only part of the type's, so the image's own
range is stretched over all of it, as in serving without a stored window.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from model.errors import ModelError

_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_MOST_PIXELS = 50_000_000  # no radiograph has more; a larger file is an error or an attack
_MOST_ASPECT = 200  # longer to shorter side; the image processor of Qwen2.5-VL refuses more


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
            if max(opened.size) > _MOST_ASPECT * min(opened.size):
                raise ImageFileError(
                    f"image {path.name!r} of {opened.height} x {opened.width} px is too narrow to be read"
                )
            if problem := _unusable(opened):
                raise ImageFileError(f"image {path.name!r} {problem}")
            upright = ImageOps.exif_transpose(opened)
            if opened.mode not in _WIDE:
                return np.asarray(upright.convert("L"), dtype=np.uint8)
            values = _stretched(np.asarray(upright))
            return 65535 - values if _white_is_zero(opened) else values
    except FileNotFoundError as error:
        raise ImageFileError(f"image {path.name!r} is not there") from error
    except UnidentifiedImageError as error:
        with path.open("rb") as stream:
            if stream.read(132)[128:] == b"DICM":
                raise ImageFileError(
                    f"image {path.name!r} is DICOM: echo-agent data dicom makes images of it as serving does"
                ) from error
        raise ImageFileError(f"image {path.name!r} is not a PNG, JPEG or TIFF file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"image {path.name!r} cannot be decoded ({type(error).__name__})") from error


def _unusable(opened: ImageFile) -> str:
    """Why an image is not read, to follow its name; empty if it is."""
    if frames := getattr(opened, "n_frames", 1) - 1:
        return f"holds {1 + frames} frames; a study lists one file for each image"
    if opened.mode == "F":
        return "holds fractions, not 8- or 16-bit grey values"
    # Pillow keeps the upper eight bits of such a file, which are nearly empty if the detector has twelve
    # bits.
    if opened.mode not in _WIDE and any(";16" in str(tile[3]) for tile in opened.tile):
        return "has 16-bit colour or transparency; save it as 16-bit grey"
    return ""


def _white_is_zero(opened: ImageFile) -> bool:
    """Whether a TIFF says that low values are bright; Pillow inverts only 8-bit ones."""
    return isinstance(opened, TiffImageFile) and opened.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def image_problem(path: Path) -> str:
    """What is wrong with a file, to follow its name; empty if it can be used."""
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

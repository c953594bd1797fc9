"""Image files as others write them: read with the correct grey values, or refused."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, ImageFileDirectory_v2

from model.train.image_files import ImageFileError, read_image

_RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (8, 1))  # bright on the right
_DETECTOR = _RAMP.astype(np.uint16) * 16  # twelve of sixteen bits

Write = Callable[[Path], None]


def _as_mode(mode: str) -> Write:
    return lambda path: Image.fromarray(_RAMP).convert(mode).save(path)


def _white_is_zero(values: np.ndarray) -> Write:  # type: ignore[type-arg]
    def write(path: Path) -> None:
        tags = ImageFileDirectory_v2()
        tags[PHOTOMETRIC_INTERPRETATION] = 0
        Image.fromarray(values).save(path, tiffinfo=tags)

    return write


def _half_turned(path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 3  # Orientation: the stored image is rotated by 180 degrees
    Image.fromarray(_RAMP[:, ::-1]).save(path, exif=tags)


def _png(colour: int, depth: int, rows: list[bytes]) -> Write:
    """Return a writer of a kind of PNG that Pillow does not write."""

    def write(path: Path) -> None:
        header = struct.pack(">IIBBBBB", 64, len(rows), depth, colour, 0, 0, 0)
        data = zlib.compress(b"".join(b"\0" + row for row in rows))
        parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
        chunks = [
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        ]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))

    return write


_FOUR_BITS = [bytes((row[2 * i] // 17 << 4) | row[2 * i + 1] // 17 for i in range(32)) for row in _RAMP]
_WIDE_COLOUR = [np.repeat(row, 3).astype(">u2").tobytes() for row in _DETECTOR]
_WIDE_ALPHA = [np.stack([row, np.full_like(row, 65535)], axis=1).astype(">u2").tobytes() for row in _DETECTOR]


@pytest.mark.parametrize(
    ("name", "write", "darkest", "brightest"),
    [
        ("one-bit.png", _as_mode("1"), 0, 255),
        ("four-bits.png", _png(0, 4, _FOUR_BITS), 0, 238),
        ("palette.png", _as_mode("P"), 0, 252),
        ("alpha.png", _as_mode("RGBA"), 0, 252),
        ("grey-alpha.png", _as_mode("LA"), 0, 252),
        ("colour.tiff", _as_mode("RGB"), 0, 252),
        ("cmyk.jpg", _as_mode("CMYK"), 0, 252),
        ("sixteen.png", lambda path: Image.fromarray(_DETECTOR).save(path), 0, 65535),
        ("thirty-two.tiff", lambda path: Image.fromarray(_DETECTOR.astype(np.int32)).save(path), 0, 65535),
        ("turned.jpg", _half_turned, 0, 252),
        ("white-is-zero.tiff", _white_is_zero(_DETECTOR.max() - _DETECTOR), 0, 65535),
    ],
)
def test_bright_stays_bright_and_right_stays_right(
    tmp_path: Path, name: str, write: Write, darkest: int, brightest: int
) -> None:
    """Bit depth, palette, photometric interpretation and orientation of the file are applied."""
    write(tmp_path / name)

    image = read_image(tmp_path / name)

    found = (int(image[:, 0].mean()), int(image[:, -1].mean()))
    assert np.allclose((darkest, brightest), found, atol=2)


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("colour.png", _png(2, 16, _WIDE_COLOUR), "16-bit colour or transparency; save it as 16-bit grey"),
        ("alpha.png", _png(4, 16, _WIDE_ALPHA), "16-bit colour or transparency; save it as 16-bit grey"),
        (
            "pages.tiff",
            lambda path: Image.fromarray(_RAMP).save(
                path, save_all=True, append_images=[Image.fromarray(_RAMP)]
            ),
            "2 frames; a study lists one file for each image",
        ),
        ("strip.png", lambda path: Image.new("L", (5_000, 1)).save(path), "1 x 5000 px is too narrow"),
        ("floats.tiff", lambda path: Image.fromarray(_RAMP.astype(np.float32)).save(path), "holds fractions"),
        ("short.jpg", lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"), "not a PNG, JPEG or TIFF file"),
        ("empty.png", lambda path: path.write_bytes(b""), "not a PNG, JPEG or TIFF file"),
        ("chest.png", lambda path: path.write_bytes(bytes(128) + b"DICM"), "is DICOM: echo-agent data dicom"),
    ],
)
def test_what_cannot_be_read_faithfully_is_refused(
    tmp_path: Path, name: str, write: Write, reason: str
) -> None:
    """The message names the file and says what to do, instead of repeating the library's error."""
    write(tmp_path / name)

    with pytest.raises(ImageFileError, match=f"^image '{re.escape(name)}' .*{reason}"):
        read_image(tmp_path / name)

"""Reads the size stated in a compressed image before any codec runs on it. Pure.

A codec allocates what the codestream claims, not what the DICOM header says: without this check a
one-kilobyte file can claim 4 GiB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOI = b"\xff\xd8"
_J2K_SOC_SIZ = b"\xff\x4f\xff\x51"
# ITU-T T.81 table B.1: start of frame, all but DHT (C4), JPG (C8) and DAC (CC); T.87: SOF55 (F7).
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
# Markers without a length: TEM, RST0 to RST7, SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodestreamSize:
    """The size that the codec will allocate; samples are counted per pixel."""

    rows: int
    columns: int
    samples: int


def codestream_size(frame: bytes) -> CodestreamSize | None:
    """Return the size stated in a JPEG, JPEG-LS or JPEG 2000 frame, or None."""
    if frame.startswith(_SOI):
        return _jpeg_size(frame)
    start = frame.find(_J2K_SOC_SIZ, 0, 4096)
    return _jpeg2000_size(frame, start) if start >= 0 else None


def _jpeg_size(frame: bytes) -> CodestreamSize | None:
    """Source: ITU-T T.81 B.2.2 (frame header)."""
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            return None
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _BARE:
            position += 2
        elif marker in _START_OF_FRAME:
            if position + 10 > len(frame):
                return None
            rows, columns, samples = struct.unpack_from(">HHB", frame, position + 5)
            return CodestreamSize(rows=rows, columns=columns, samples=samples)
        else:
            position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    return None


def _jpeg2000_size(frame: bytes, start: int) -> CodestreamSize | None:
    """Source: ITU-T T.800 A.5.1 (SIZ)."""
    if start + 42 > len(frame):
        return None
    x_size, y_size, x_offset, y_offset = struct.unpack_from(">IIII", frame, start + 8)
    samples: int = struct.unpack_from(">H", frame, start + 40)[0]
    return CodestreamSize(rows=y_size - y_offset, columns=x_size - x_offset, samples=samples)
